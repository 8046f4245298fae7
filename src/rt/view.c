/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a file image: the container, the public look-ups, and the cursor that reads bytes nobody vouches for. */
#include "rt/view.h"

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/error.h"
#include "rt/int8_ops.h"

#include <string.h>

_Static_assert(sizeof(isgi_model) <= sizeof(isg_rt_model), "isg_rt_model is too small");

uint32_t isgi_cursor_uv(isgi_cursor *c)
{
    uint32_t value = 0;
    for (uint32_t shift = 0; !c->failed && shift < 35 && c->pos < c->end; shift += 7) {
        const uint32_t byte = c->data[c->pos++];
        if (shift == 28 && byte > 15u) break; /* beyond 32 bits, or goes on */
        value |= (byte & 127u) << shift;
        if (byte < 128u) {
            if (byte == 0 && shift) break; /* not the shortest form */
            return value;
        }
    }
    c->failed = 1;
    return 0;
}

int32_t isgi_cursor_sv(isgi_cursor *c)
{
    const uint32_t v = isgi_cursor_uv(c);
    return v & 1u ? -(int32_t)(v >> 1) - 1 : (int32_t)(v >> 1);
}

float isgi_cursor_f32(isgi_cursor *c)
{
    if (c->failed || c->end - c->pos < 4) {
        c->failed = 1;
        return 0.0f;
    }
    c->pos += 4;
    return isgi_load_f32(c->data + c->pos - 4);
}

static int has_nul(const uint8_t *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!p[i]) return 1;
    return 0;
}

const char *isgi_cursor_name(isgi_cursor *c, uint32_t *bytes)
{
    const uint32_t n = isgi_cursor_uv(c);
    *bytes = 0;
    if (c->failed || n > ISG_FORMAT_MAX_NAME || n > c->end - c->pos || has_nul(c->data + c->pos, n)) {
        c->failed = 1;
        return NULL;
    }
    c->pos += n;
    *bytes = n;
    return (const char *)(c->data + c->pos - n);
}

static int section_known(uint32_t kind)
{
    return kind == ISG_SECTION_GRAPH || kind == ISG_SECTION_WEIGHTS ||
           (kind >= ISG_SECTION_INPUT && kind <= ISG_SECTION_ACTIVATIONS);
}

static isg_status check_header(const uint8_t *image, uint64_t bytes, isg_error *err)
{
    static const uint8_t zero[4] = {0};
    uint32_t count, crc;
    uint64_t table;
    if (bytes < ISG_FORMAT_HEADER_BYTES) return isgi_error(err, ISG_E_FORMAT, "file is shorter than its header", 0, -1);
    if (memcmp(image, ISG_FORMAT_MAGIC, 8) != 0) return isgi_error(err, ISG_E_FORMAT, "not an .isg file", 0, -1);
    if (isgi_load_u16(image + ISG_FORMAT_AT_MAJOR) != ISG_FORMAT_MAJOR)
        return isgi_error(err, ISG_E_VERSION, "format version is not 1", ISG_FORMAT_AT_MAJOR, -1);
    if (isgi_load_u64(image + ISG_FORMAT_AT_FILE_BYTES) != bytes)
        return isgi_error(err, ISG_E_FORMAT, "file is truncated or has bytes after its end", ISG_FORMAT_AT_FILE_BYTES,
                          -1);
    count = isgi_load_u32(image + ISG_FORMAT_AT_SECTIONS);
    if (count == 0 || count > ISG_FORMAT_MAX_SECTIONS)
        return isgi_error(err, ISG_E_FORMAT, "section count out of range", ISG_FORMAT_AT_SECTIONS, -1);
    table = (uint64_t)count * ISG_FORMAT_SECTION_BYTES;
    if (table > bytes - ISG_FORMAT_HEADER_BYTES)
        return isgi_error(err, ISG_E_FORMAT, "section table is outside the file", ISG_FORMAT_AT_SECTIONS, -1);
    crc = isgi_crc32c(0, image, ISG_FORMAT_AT_CRC);
    crc = isgi_crc32c(crc, zero, 4);
    crc = isgi_crc32c(crc, image + ISG_FORMAT_AT_CRC + 4,
                      (size_t)(ISG_FORMAT_HEADER_BYTES - ISG_FORMAT_AT_CRC - 4 + table));
    if (crc != isgi_load_u32(image + ISG_FORMAT_AT_CRC))
        return isgi_error(err, ISG_E_CHECKSUM, "header checksum does not match", ISG_FORMAT_AT_CRC, -1);
    if (isgi_load_u32(image + ISG_FORMAT_AT_FLAGS) != 0)
        return isgi_error(err, ISG_E_UNSUPPORTED, "unknown header flags", ISG_FORMAT_AT_FLAGS, -1);
    for (uint32_t i = 32; i < ISG_FORMAT_HEADER_BYTES; i++)
        if (image[i]) return isgi_error(err, ISG_E_FORMAT, "reserved header byte is not zero", i, -1);
    return ISG_OK;
}

static isg_status check_section(const uint8_t *image, uint64_t bytes, uint32_t index, uint64_t *at, isg_error *err)
{
    const uint64_t place = ISG_FORMAT_HEADER_BYTES + (uint64_t)index * ISG_FORMAT_SECTION_BYTES;
    const uint8_t *e = image + place;
    const uint32_t kind = isgi_load_u32(e);
    const uint64_t offset = isgi_load_u64(e + 8), length = isgi_load_u64(e + 16);
    const uint64_t expected = (*at + ISG_FORMAT_ALIGNMENT - 1) / ISG_FORMAT_ALIGNMENT * ISG_FORMAT_ALIGNMENT;
    if (isgi_load_u64(e + 24))
        return isgi_error(err, ISG_E_FORMAT, "reserved section field is not zero", place + 24, -1);
    if (offset != expected || offset > bytes || length == 0 || length > bytes - offset)
        return isgi_error(err, ISG_E_FORMAT, "section is out of place or outside the file", place, -1);
    for (uint64_t i = *at; i < offset; i++)
        if (image[i]) return isgi_error(err, ISG_E_FORMAT, "padding between sections is not zero", i, -1);
    if ((kind & ISG_SECTION_REQUIRED) && !section_known(kind))
        return isgi_error(err, ISG_E_UNSUPPORTED, "unknown required section", place, -1);
    for (uint32_t i = 0; i < index && section_known(kind); i++)
        if (isgi_load_u32(e - (uint64_t)(index - i) * ISG_FORMAT_SECTION_BYTES) == kind)
            return isgi_error(err, ISG_E_FORMAT, "section appears twice", place, -1);
    if (length > SIZE_MAX || isgi_crc32c(0, image + offset, (size_t)length) != isgi_load_u32(e + 4))
        return isgi_error(err, ISG_E_CHECKSUM, "section checksum does not match", offset, -1);
    *at = offset + length;
    return ISG_OK;
}

const uint8_t *isgi_view_section(const isgi_model *m, uint32_t kind, uint64_t *bytes)
{
    const uint32_t count = isgi_load_u32(m->image + ISG_FORMAT_AT_SECTIONS);
    *bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *e = m->image + ISG_FORMAT_HEADER_BYTES + (size_t)i * ISG_FORMAT_SECTION_BYTES;
        if (isgi_load_u32(e) == kind) {
            *bytes = isgi_load_u64(e + 16);
            return m->image + isgi_load_u64(e + 8);
        }
    }
    return NULL;
}

isg_status isgi_view_container(isgi_model *m, const uint8_t *image, uint64_t bytes, isg_error *err)
{
    uint64_t at, graph_bytes;
    uint32_t count;
    ISGI_TRY(check_header(image, bytes, err));
    count = isgi_load_u32(image + ISG_FORMAT_AT_SECTIONS);
    at = ISG_FORMAT_HEADER_BYTES + (uint64_t)count * ISG_FORMAT_SECTION_BYTES;
    for (uint32_t i = 0; i < count; i++) ISGI_TRY(check_section(image, bytes, i, &at, err));
    if (at != bytes) return isgi_error(err, ISG_E_FORMAT, "bytes after the last section", at, -1);
    m->image = image;
    m->image_bytes = bytes;
    m->graph = isgi_view_section(m, ISG_SECTION_GRAPH, &graph_bytes);
    if (!m->graph) return isgi_error(err, ISG_E_FORMAT, "no graph section", ISG_ERROR_NONE, -1);
    if (graph_bytes > INT32_MAX) return isgi_error(err, ISG_E_LIMIT, "graph section is too large", ISG_ERROR_NONE, -1);
    m->graph_bytes = (uint32_t)graph_bytes;
    m->weights = isgi_view_section(m, ISG_SECTION_WEIGHTS, &m->weights_bytes);
    return ISG_OK;
}

isg_status isg_rt_open(isg_rt_model *model, const void *image, size_t bytes, isg_error *err)
{
    isgi_model m;
    if (!model || !image) return isgi_error(err, ISG_E_ARG, "model and image must not be null", ISG_ERROR_NONE, -1);
    if ((uintptr_t)image % ISG_RT_ALIGNMENT)
        return isgi_error(err, ISG_E_ARG, "image is not aligned to 64 bytes", ISG_ERROR_NONE, -1);
    memset(&m, 0, sizeof m);
    ISGI_TRY(isgi_view_container(&m, (const uint8_t *)image, bytes, err));
    ISGI_TRY(isgi_view_graph(&m, err));
    ISGI_TRY(isgi_view_activations(&m, err));
    m.magic = ISGI_MODEL_MAGIC;
    memset(model, 0, sizeof *model);
    memcpy(model, &m, sizeof m);
    return ISG_OK;
}

uint32_t isg_rt_input_count(const isg_rt_model *model)
{
    return isgi_model_of_const(model)->inputs;
}

uint32_t isg_rt_output_count(const isg_rt_model *model)
{
    return isgi_model_of_const(model)->outputs;
}

static void fill_io(isg_rt_io *io, const isgi_shape *shape, const char *name, uint32_t name_bytes)
{
    io->name = name;
    io->name_bytes = name_bytes;
    io->rank = shape->rank;
    memcpy(io->dims, shape->dims, sizeof io->dims);
}

isg_status isg_rt_input(const isg_rt_model *model, uint32_t index, isg_rt_io *io)
{
    const isgi_model *m = isgi_model_of_const(model);
    isgi_cursor c = {m->graph, m->tensor_marks[0], m->graph_bytes, 0};
    if (index >= m->inputs || !io) return ISG_E_ARG;
    for (uint32_t i = 0; i <= index; i++) {
        isgi_shape s;
        uint32_t bytes;
        const char *name;
        memset(&s, 0, sizeof s);
        s.rank = isgi_cursor_uv(&c);
        for (uint32_t d = 0; d < s.rank; d++) s.dims[d] = isgi_cursor_uv(&c);
        name = isgi_cursor_name(&c, &bytes);
        if (i == index) fill_io(io, &s, name, bytes);
    }
    return ISG_OK;
}

isg_status isg_rt_output(const isg_rt_model *model, uint32_t index, isg_rt_io *io)
{
    const isgi_model *m = isgi_model_of_const(model);
    isgi_cursor c = {m->graph, m->outputs_at, m->graph_bytes, 0};
    if (index >= m->outputs || !io) return ISG_E_ARG;
    for (uint32_t i = 0; i <= index; i++) {
        const uint32_t tensor = isgi_cursor_uv(&c);
        uint32_t bytes;
        const char *name = isgi_cursor_name(&c, &bytes);
        if (i == index) {
            isgi_shape s;
            isgi_view_tensor(m, tensor, &s, NULL);
            fill_io(io, &s, name, bytes);
        }
    }
    return ISG_OK;
}

uint32_t isg_rt_weight_count(const isg_rt_model *model)
{
    return isgi_model_of_const(model)->weight_count;
}

isg_status isg_rt_weight(const isg_rt_model *model, uint32_t index, isg_weight *weight)
{
    const isgi_model *m = isgi_model_of_const(model);
    if (index >= m->weight_count || !weight) return ISG_E_ARG;
    isgi_view_weight(m, index, weight);
    return ISG_OK;
}

const void *isg_rt_section(const isg_rt_model *model, uint32_t kind, size_t *bytes)
{
    uint64_t n;
    const uint8_t *p = isgi_view_section(isgi_model_of_const(model), kind, &n);
    if (bytes) *bytes = (size_t)n;
    return p;
}
