/* SPDX-License-Identifier: Apache-2.0 */
/* Reading protobuf bytes that nobody vouches for. */
#ifndef INSITU_ONNX_WIRE_H
#define INSITU_ONNX_WIRE_H

#include <insitu/status.h>

#include "onnx/onnx_arena.h"

#define ISGI_ONNX_MAX_DEPTH 32u             /* messages inside messages */
#define ISGI_ONNX_MAX_MESSAGES (1u << 22)   /* in one file */
#define ISGI_ONNX_MAX_STRING ((size_t)4096) /* bytes of a name; documentation strings may be longer */

/* Checks the whole encoding against the schema before protobuf-c sees it: depth, lengths, wire types, singular fields
 * given once, strings without NUL. Offsets in `err` count from the start of `bytes`. Errors: FORMAT, LIMIT. */
ISG_NODISCARD isg_status isgi_onnx_wire_check(const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                                              isg_error *err);
/* The check, then the message unpacked into the arena (arena->limit must be set). Errors: FORMAT, LIMIT, NOMEM. */
ISG_NODISCARD isg_status isgi_onnx_unpack(ProtobufCMessage **out, const ProtobufCMessageDescriptor *type,
                                          const uint8_t *bytes, size_t size, isgi_onnx_arena *arena, isg_error *err);

#endif
