/* SPDX-License-Identifier: Apache-2.0 */
/* Life and bookkeeping of a program, and its table of weight records in which equal ones are stored once. */
#include "pack/program.h"

#include <math.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "base/half.h"
#include "host/alloc.h"

#define WEIGHTS_MAXIMUM ((size_t)16 << 30) /* bytes of one WEIGHTS section */
#define HALF_MAXIMUM 65504.0f

void isgi_program_init(isgi_program *p)
{
    memset(p, 0, sizeof *p);
    isgi_buffer_init(&p->weights, WEIGHTS_MAXIMUM);
}

void isgi_program_free(isgi_program *p)
{
    for (uint32_t i = 0; i < p->op_count; i++) isg_free(p->ops[i].inputs);
    isg_free(p->ops);
    isg_free(p->inputs);
    isg_free(p->outputs);
    isg_free(p->constants);
    isg_free(p->records);
    isgi_buffer_free(&p->weights);
    memset(p, 0, sizeof *p);
}

/* Room for item number `count` of an array. */
static isg_status reserve_item(void **items, uint32_t count, uint32_t *capacity, size_t size, const char *what,
                               isg_error *err)
{
    uint32_t wanted;
    void *grown;
    if (count < *capacity) return ISG_OK;
    if (count >= ISG_FORMAT_MAX_COUNT) {
        return isgi_fail(err, ISG_E_LIMIT, "more than %u %s", (unsigned)ISG_FORMAT_MAX_COUNT, what);
    }
    wanted = *capacity ? *capacity * 2 : 32;
    grown = isgi_realloc(*items, (size_t)count * size, (size_t)wanted * size);
    if (!grown) return isgi_nomem(err);
    *items = grown;
    *capacity = wanted;
    return ISG_OK;
}

isg_status isgi_program_add_op(isgi_program *p, isg_op_kind kind, const isgi_ref *inputs, uint32_t count,
                               isgi_program_op **op, isg_error *err)
{
    isgi_ref *copy;
    ISGI_TRY(reserve_item((void **)&p->ops, p->op_count, &p->op_capacity, sizeof *p->ops, "operations", err));
    copy = isgi_malloc(count * sizeof *copy);
    if (!copy) return isgi_nomem(err);
    memcpy(copy, inputs, count * sizeof *copy);
    *op = &p->ops[p->op_count++];
    memset(*op, 0, sizeof **op);
    (*op)->kind = kind;
    (*op)->inputs = copy;
    (*op)->input_count = count;
    (*op)->weight = (*op)->bias = -1;
    (*op)->groups = 1;
    return ISG_OK;
}

isg_status isgi_program_add_constant(isgi_program *p, const isgi_shape *shape, uint32_t weight, isgi_ref *ref,
                                     isg_error *err)
{
    isgi_port *port;
    ISGI_TRY(reserve_item((void **)&p->constants, p->constant_count, &p->constant_capacity, sizeof *p->constants,
                          "constants", err));
    ref->kind = ISGI_REF_CONSTANT;
    ref->index = p->constant_count++;
    port = &p->constants[ref->index];
    memset(port, 0, sizeof *port);
    port->shape = *shape;
    port->weight = weight;
    return ISG_OK;
}

const isgi_shape *isgi_program_shape(const isgi_program *p, isgi_ref ref)
{
    switch (ref.kind) {
    case ISGI_REF_INPUT: return &p->inputs[ref.index].shape;
    case ISGI_REF_CONSTANT: return &p->constants[ref.index].shape;
    default: return &p->ops[ref.index].shape;
    }
}

uint32_t isgi_program_number(const isgi_program *p, isgi_ref ref)
{
    switch (ref.kind) {
    case ISGI_REF_INPUT: return ref.index;
    case ISGI_REF_CONSTANT: return p->input_count + ref.index;
    default: return p->input_count + p->constant_count + ref.index;
    }
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
    const uint8_t *b = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ b[i]) * 0x100000001b3u;
    return hash;
}

static int same_codes(const isg_codes *a, const isg_codes *b)
{
    return a->rows == b->rows && a->cols == b->cols && a->bits == b->bits && a->family == b->family &&
           a->scale_count == b->scale_count && a->scale_bits == b->scale_bits;
}

static int same_geometry(const isg_weight *a, const isg_weight *b)
{
    return a->taps == b->taps && a->ci == b->ci && a->co == b->co && a->bi == b->bi && a->bo == b->bo &&
           a->level1 == b->level1 && a->level2 == b->level2 && a->depthwise == b->depthwise &&
           same_codes(&a->basis, &b->basis) && same_codes(&a->u, &b->u) && same_codes(&a->v, &b->v);
}

/* Enters the record whose blobs were appended to p->weights from `before` (at its alignment) on, or drops them for an
 * equal one. */
static isg_status enter_record(isgi_program *p, const isg_weight *w, size_t before, uint32_t *index, isg_error *err)
{
    const size_t at = (before + ISG_FORMAT_BLOB_ALIGN - 1) / ISG_FORMAT_BLOB_ALIGN * ISG_FORMAT_BLOB_ALIGN;
    const size_t bytes = p->weights.size - at;
    const uint64_t hash = hash_bytes(0xcbf29ce484222325u, p->weights.data + at, bytes);
    isgi_record *r;
    for (uint32_t i = 0; i < p->record_count; i++) {
        r = &p->records[i];
        if (r->hash == hash && r->bytes == bytes && same_geometry(&r->w, w) &&
            memcmp(p->weights.data + r->at, p->weights.data + at, bytes) == 0) {
            p->weights.size = before;
            *index = i;
            return ISG_OK;
        }
    }
    ISGI_TRY(
        reserve_item((void **)&p->records, p->record_count, &p->record_capacity, sizeof *p->records, "weights", err));
    *index = p->record_count++;
    r = &p->records[*index];
    r->w = *w;
    r->hash = hash;
    r->at = at;
    r->bytes = bytes;
    return ISG_OK;
}

static isg_status append_codes(isgi_program *p, const isg_codes *codes, isg_error *err)
{
    if (codes->rows == 0) return ISG_OK;
    ISGI_TRY(isgi_buffer_align(&p->weights, ISG_FORMAT_BLOB_ALIGN, err));
    ISGI_TRY(isgi_buffer_append(&p->weights, codes->data, (size_t)codes->data_bytes, err));
    if (codes->scale_count == 0) return ISG_OK;
    ISGI_TRY(isgi_buffer_align(&p->weights, ISG_FORMAT_BLOB_ALIGN, err));
    return isgi_buffer_append(&p->weights, codes->scales, (size_t)codes->scale_count * codes->scale_bits / 8, err);
}

isg_status isgi_program_add_weight(isgi_program *p, const isg_weight *w, uint32_t *index, isg_error *err)
{
    const size_t before = p->weights.size;
    isg_status status = append_codes(p, &w->basis, err);
    if (status == ISG_OK && w->level1) status = append_codes(p, &w->u, err);
    if (status == ISG_OK && w->level2) status = append_codes(p, &w->v, err);
    if (status == ISG_OK) status = enter_record(p, w, before, index, err);
    if (status != ISG_OK) p->weights.size = before;
    return status;
}

static void fill_raw(uint8_t *dst, const float *data, size_t count, uint32_t bits)
{
    if (bits == 16) {
        for (size_t i = 0; i < count; i++) isgi_store_u16(dst + 2 * i, isgi_half_from_float(data[i]));
    } else {
        for (size_t i = 0; i < count; i++) isgi_store_f32(dst + 4 * i, data[i]);
    }
}

isg_status isgi_program_add_raw(isgi_program *p, const float *data, uint32_t taps, uint32_t ci, uint32_t co,
                                uint32_t bits, uint32_t *index, isg_error *err)
{
    const size_t count = (size_t)taps * ci * co, before = p->weights.size;
    isg_weight w;
    uint8_t *room;
    isg_status status;
    if (count > ISG_FORMAT_MAX_ELEMENTS) {
        return isgi_fail(err, ISG_E_LIMIT, "a weight of more than %u elements", ISG_FORMAT_MAX_ELEMENTS);
    }
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(data[i])) return isgi_fail(err, ISG_E_NUMERIC, "element %zu of a weight is not finite", i);
        if (fabsf(data[i]) > HALF_MAXIMUM) bits = 32;
    }
    memset(&w, 0, sizeof w);
    w.taps = taps;
    w.ci = ci;
    w.co = co;
    w.basis.rows = taps * ci;
    w.basis.cols = co;
    w.basis.bits = bits == 16 ? 16 : 32;
    w.basis.data_bytes = (uint64_t)count * w.basis.bits / 8;
    status = isgi_buffer_align(&p->weights, ISG_FORMAT_BLOB_ALIGN, err);
    if (status == ISG_OK) status = isgi_buffer_extend(&p->weights, (size_t)w.basis.data_bytes, &room, err);
    if (status == ISG_OK) {
        fill_raw(room, data, count, w.basis.bits);
        status = enter_record(p, &w, before, index, err);
    }
    if (status != ISG_OK) p->weights.size = before;
    return status;
}
