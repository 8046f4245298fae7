/* SPDX-License-Identifier: Apache-2.0 */
/* The schema-driven check that runs before protobuf-c, so that depth, repetition and size are ours to bound. */
#include "onnx/onnx_wire.h"

#include <string.h>

#include "host/alloc.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

typedef struct wire_cursor {
    const uint8_t *start, *pos;
    uint32_t messages;
    isg_error *err;
} wire_cursor;

static isg_status wire_fail(const wire_cursor *c, isg_status status, const char *reason)
{
    if (c->err) {
        isgi_fail(c->err, status, "%s at byte %llu", reason, (unsigned long long)(c->pos - c->start));
        c->err->offset = (uint64_t)(c->pos - c->start);
    }
    return status;
}

/* 1 on success; 64-bit overflow in the tenth byte is refused. */
static int wire_varint(wire_cursor *c, const uint8_t *end, uint64_t *value)
{
    uint64_t v = 0;
    unsigned shift;
    for (shift = 0; shift < 70 && c->pos < end; shift += 7) {
        const uint8_t byte = *c->pos++;
        if (shift == 63 && byte > 1) return 0;
        v |= (uint64_t)(byte & 127u) << shift;
        if (!(byte & 128u)) {
            *value = v;
            return 1;
        }
    }
    return 0;
}

static unsigned wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT: return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE: return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return WIRE_BYTES;
    default: return WIRE_VARINT;
    }
}

/* A packed run of numbers: whole elements only. */
static isg_status wire_packed(wire_cursor *c, unsigned element, const uint8_t *end)
{
    const size_t bytes = (size_t)(end - c->pos);
    uint64_t ignored;
    if (element == WIRE_32 || element == WIRE_64) {
        if (bytes % (element == WIRE_32 ? 4u : 8u)) return wire_fail(c, ISG_E_FORMAT, "broken packed field");
        c->pos = end;
        return ISG_OK;
    }
    while (c->pos < end)
        if (!wire_varint(c, end, &ignored)) return wire_fail(c, ISG_E_FORMAT, "broken number in a packed field");
    return ISG_OK;
}

static isg_status wire_message(wire_cursor *c, const ProtobufCMessageDescriptor *type, const uint8_t *end,
                               unsigned depth);

/* The payload of a length-delimited field; c->pos is at its first byte, `end` after its last. */
static isg_status wire_payload(wire_cursor *c, const ProtobufCFieldDescriptor *field, const uint8_t *end,
                               unsigned depth)
{
    const size_t bytes = (size_t)(end - c->pos);
    const unsigned expected = field ? wire_type_of(field->type) : WIRE_BYTES;
    if (!field || field->type == PROTOBUF_C_TYPE_BYTES) {
        c->pos = end;
        return ISG_OK;
    }
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) return wire_message(c, field->descriptor, end, depth + 1);
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (bytes && memchr(c->pos, 0, bytes)) return wire_fail(c, ISG_E_FORMAT, "string with a NUL byte");
        if (bytes > ISGI_ONNX_MAX_STRING && strcmp(field->name, "doc_string") != 0 && strcmp(field->name, "value") != 0)
            return wire_fail(c, ISG_E_LIMIT, "name longer than 4096 bytes");
        c->pos = end;
        return ISG_OK;
    }
    return wire_packed(c, expected, end);
}

static isg_status wire_field(wire_cursor *c, const ProtobufCMessageDescriptor *type, const uint8_t *end, unsigned depth,
                             uint64_t *seen)
{
    const ProtobufCFieldDescriptor *field;
    uint64_t tag, value;
    unsigned wire;
    if (!wire_varint(c, end, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffffu)
        return wire_fail(c, ISG_E_FORMAT, "broken field tag");
    wire = (unsigned)(tag & 7u);
    field = protobuf_c_message_descriptor_get_field(type, (unsigned)(tag >> 3));
    if (field) {
        const unsigned expected = wire_type_of(field->type), index = (unsigned)(field - type->fields);
        const int repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
        if (wire != expected && !(repeated && wire == WIRE_BYTES))
            return wire_fail(c, ISG_E_FORMAT, "field with the wrong wire type");
        if (!repeated && index < 64) {
            /* protobuf-c merges repeated singular messages in quadratic time */
            if (*seen >> index & 1u) return wire_fail(c, ISG_E_FORMAT, "singular field given twice");
            *seen |= UINT64_C(1) << index;
        }
    }
    switch (wire) {
    case WIRE_VARINT:
        if (!wire_varint(c, end, &value)) return wire_fail(c, ISG_E_FORMAT, "broken number");
        return ISG_OK;
    case WIRE_64:
    case WIRE_32: {
        const size_t bytes = wire == WIRE_64 ? 8u : 4u;
        if (bytes > (size_t)(end - c->pos)) return wire_fail(c, ISG_E_FORMAT, "field beyond the end of its message");
        c->pos += bytes;
        return ISG_OK;
    }
    case WIRE_BYTES:
        if (!wire_varint(c, end, &value)) return wire_fail(c, ISG_E_FORMAT, "broken length");
        if (value > (uint64_t)(end - c->pos))
            return wire_fail(c, ISG_E_FORMAT, "field longer than the message that holds it");
        return wire_payload(c, field, c->pos + value, depth);
    default: return wire_fail(c, ISG_E_FORMAT, "unknown wire type");
    }
}

static isg_status wire_message(wire_cursor *c, const ProtobufCMessageDescriptor *type, const uint8_t *end,
                               unsigned depth)
{
    uint64_t seen = 0;
    if (depth > ISGI_ONNX_MAX_DEPTH) return wire_fail(c, ISG_E_LIMIT, "messages nested deeper than 32 levels");
    if (++c->messages > ISGI_ONNX_MAX_MESSAGES) return wire_fail(c, ISG_E_LIMIT, "more than 4194304 messages");
    while (c->pos < end) {
        const isg_status status = wire_field(c, type, end, depth, &seen);
        if (status != ISG_OK) return status;
    }
    return ISG_OK;
}

isg_status isgi_onnx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                                isg_error *err)
{
    wire_cursor c = {bytes, bytes, 0, err};
    if (!size) return wire_fail(&c, ISG_E_FORMAT, "empty file");
    return wire_message(&c, type, bytes + size, 1);
}

isg_status isgi_onnx_unpack(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                            size_t size, isgi_onnx_arena *arena, isg_error *err)
{
    ProtobufCAllocator allocator = isgi_onnx_arena_allocator(arena);
    ProtobufCMessage *message;
    const isg_status status = isgi_onnx_wire_check(type, bytes, size, err);
    if (status != ISG_OK) return status;
    arena->failure = ISG_OK;
    message = protobuf_c_message_unpack(type, &allocator, size, bytes);
    if (!message && arena->failure == ISG_E_LIMIT)
        return isgi_fail(err, ISG_E_LIMIT, "reading the model needs more than %llu bytes",
                         (unsigned long long)arena->limit);
    if (!message && arena->failure == ISG_E_NOMEM) return isgi_nomem(err);
    if (!message) return isgi_fail(err, ISG_E_FORMAT, "not an ONNX file: protobuf refused it");
    *out = message;
    return ISG_OK;
}
