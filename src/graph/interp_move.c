/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that move elements without looking at them: Transpose, Slice, Pad, Concat, Split, Gather, Shape. */
#include "graph/interp_internal.h"

#include <string.h>

#define FILL (-1)

/* Where each output element comes from: the sum over axes of offset[axis][index], in elements of the source; an axis
 * may say FILL for an index that is not in the source. */
typedef struct index_map {
    int64_t *offset[ISG_MAX_RANK];
    int64_t *storage;
} index_map;

static isg_status create_map(index_map *map, const isg_tensor *out, isg_error *err)
{
    size_t total = 0, at = 0;
    for (int32_t d = 0; d < out->rank; d++) total += (size_t)out->dims[d];
    map->storage = isgi_calloc(total, sizeof *map->storage);
    if (!map->storage) return isgi_nomem(err);
    for (int32_t d = 0; d < out->rank; d++) {
        map->offset[d] = map->storage + at;
        at += (size_t)out->dims[d];
    }
    return ISG_OK;
}

static void move_mapped(isg_tensor *out, const isg_tensor *in, const index_map *map, const void *fill)
{
    const size_t size = isg_dtype_size(out->dtype);
    const char *from = in->data;
    char *to = out->data;
    int64_t index[ISG_MAX_RANK] = {0};
    for (int64_t i = 0; i < out->count; i++, to += size) {
        int64_t at = 0;
        for (int32_t d = 0; d < out->rank && at != FILL; d++) {
            const int64_t step = map->offset[d][index[d]];
            at = step == FILL ? FILL : at + step;
        }
        memcpy(to, at == FILL ? fill : (const void *)(from + (size_t)at * size), size);
        for (int32_t d = out->rank - 1; d >= 0; d--) {
            if (++index[d] < out->dims[d]) break;
            index[d] = 0;
        }
    }
}

static void row_strides(int64_t *stride, const isg_tensor *t)
{
    int64_t step = 1;
    for (int32_t d = t->rank - 1; d >= 0; d--) {
        stride[d] = step;
        step *= t->dims[d];
    }
}

static isg_status permutation(int64_t *perm, const isgi_call *c)
{
    const isg_axes_attr *a = &c->node->attr.axes;
    const int32_t rank = c->in[0]->rank;
    unsigned seen = 0;
    if (a->n != 0 && a->n != rank)
        return isgi_fail(c->err, ISG_E_SHAPE, "%d axes permute rank %d", (int)a->n, (int)rank);
    for (int32_t i = 0; i < rank; i++) {
        ISGI_TRY(isgi_axis(&perm[i], a->n ? a->axes[i] : rank - 1 - i, rank, c->err));
        if (seen >> perm[i] & 1u) return isgi_fail(c->err, ISG_E_SHAPE, "axes are not a permutation");
        seen |= 1u << perm[i];
    }
    return ISG_OK;
}

isg_status isgi_shape_transpose(isgi_call *c)
{
    int64_t perm[ISG_MAX_RANK], dims[ISG_MAX_RANK];
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    ISGI_TRY(permutation(perm, c));
    for (int32_t i = 0; i < c->in[0]->rank; i++) dims[i] = c->in[0]->dims[perm[i]];
    return isgi_tensor_shape(&c->out[0], c->in[0]->dtype, c->in[0]->rank, dims, c->err);
}

isg_status isgi_eval_transpose(const isgi_call *c)
{
    int64_t perm[ISG_MAX_RANK], stride[ISG_MAX_RANK];
    index_map map;
    if (c->out[0].count == 0) return ISG_OK;
    ISGI_TRY(permutation(perm, c));
    ISGI_TRY(create_map(&map, &c->out[0], c->err));
    row_strides(stride, c->in[0]);
    for (int32_t d = 0; d < c->out[0].rank; d++)
        for (int64_t i = 0; i < c->out[0].dims[d]; i++) map.offset[d][i] = i * stride[perm[d]];
    move_mapped(&c->out[0], c->in[0], &map, NULL);
    isg_free(map.storage);
    return ISG_OK;
}

typedef struct slice_range {
    int64_t start, step, length;
} slice_range;

/* Python's rules for x[start:end:step] on an axis of `size`. */
static isg_status slice_axis(slice_range *r, int64_t start, int64_t end, int64_t step, int64_t size, isg_error *err)
{
    const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
    int64_t span;
    if (step == 0) return isgi_fail(err, ISG_E_SHAPE, "slice step is 0");
    if (start < 0) start += size;
    if (end < 0) end += size;
    start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    span = step > 0 ? end - start : start - end;
    r->start = start;
    r->step = step;
    if (span <= 0)
        r->length = 0;
    else if (step == INT64_MIN)
        r->length = 1;
    else
        r->length = (span - 1) / (step > 0 ? step : -step) + 1;
    return ISG_OK;
}

static isg_status slice_ranges(slice_range *r, const isgi_call *c)
{
    const isg_tensor *x = c->in[0];
    int64_t start[ISG_MAX_RANK], end[ISG_MAX_RANK], axes[ISG_MAX_RANK], step[ISG_MAX_RANK];
    int32_t count, ends, axis_count, steps;
    unsigned seen = 0;
    ISGI_TRY(isgi_read_list(start, &count, ISG_MAX_RANK, c->in[1], c->err));
    ISGI_TRY(isgi_read_list(end, &ends, ISG_MAX_RANK, c->in[2], c->err));
    axis_count = steps = count;
    for (int32_t i = 0; i < count; i++) {
        axes[i] = i;
        step[i] = 1;
    }
    if (isgi_in(c, 3)) ISGI_TRY(isgi_read_list(axes, &axis_count, ISG_MAX_RANK, c->in[3], c->err));
    if (isgi_in(c, 4)) ISGI_TRY(isgi_read_list(step, &steps, ISG_MAX_RANK, c->in[4], c->err));
    if (ends != count || axis_count != count || steps != count)
        return isgi_fail(c->err, ISG_E_SHAPE, "starts, ends, axes and steps differ in length");
    for (int32_t d = 0; d < x->rank; d++) r[d] = (slice_range){0, 1, x->dims[d]};
    for (int32_t i = 0; i < count; i++) {
        int64_t d;
        ISGI_TRY(isgi_axis(&d, axes[i], x->rank, c->err));
        if (seen >> d & 1u) return isgi_fail(c->err, ISG_E_SHAPE, "axis %lld is named twice", (long long)d);
        seen |= 1u << d;
        ISGI_TRY(slice_axis(&r[d], start[i], end[i], step[i], x->dims[d], c->err));
    }
    return ISG_OK;
}

isg_status isgi_shape_slice(isgi_call *c)
{
    slice_range r[ISG_MAX_RANK];
    int64_t dims[ISG_MAX_RANK];
    ISGI_TRY(isgi_arity(c, 3, 5, 1));
    ISGI_TRY(slice_ranges(r, c));
    for (int32_t d = 0; d < c->in[0]->rank; d++) dims[d] = r[d].length;
    return isgi_tensor_shape(&c->out[0], c->in[0]->dtype, c->in[0]->rank, dims, c->err);
}

isg_status isgi_eval_slice(const isgi_call *c)
{
    slice_range r[ISG_MAX_RANK];
    int64_t stride[ISG_MAX_RANK];
    index_map map;
    if (c->out[0].count == 0) return ISG_OK;
    ISGI_TRY(slice_ranges(r, c));
    ISGI_TRY(create_map(&map, &c->out[0], c->err));
    row_strides(stride, c->in[0]);
    for (int32_t d = 0; d < c->out[0].rank; d++)
        for (int64_t i = 0; i < r[d].length; i++) map.offset[d][i] = (r[d].start + (i ? i * r[d].step : 0)) * stride[d];
    move_mapped(&c->out[0], c->in[0], &map, NULL);
    isg_free(map.storage);
    return ISG_OK;
}

/* begin[d], end[d] of every axis; negative pads crop. */
static isg_status pad_amounts(int64_t *begin, int64_t *end, const isgi_call *c)
{
    const int32_t rank = c->in[0]->rank;
    int64_t pads[2 * ISG_MAX_RANK], axes[ISG_MAX_RANK];
    int32_t count, axis_count = rank;
    unsigned seen = 0;
    ISGI_TRY(isgi_read_list(pads, &count, 2 * ISG_MAX_RANK, c->in[1], c->err));
    for (int32_t d = 0; d < rank; d++) {
        axes[d] = d;
        begin[d] = end[d] = 0;
    }
    if (isgi_in(c, 3)) ISGI_TRY(isgi_read_list(axes, &axis_count, ISG_MAX_RANK, c->in[3], c->err));
    if (count != 2 * axis_count)
        return isgi_fail(c->err, ISG_E_SHAPE, "%d pads for %d axes", (int)count, (int)axis_count);
    for (int32_t i = 0; i < axis_count; i++) {
        int64_t d;
        ISGI_TRY(isgi_axis(&d, axes[i], rank, c->err));
        if (seen >> d & 1u) return isgi_fail(c->err, ISG_E_SHAPE, "axis %lld is named twice", (long long)d);
        seen |= 1u << d;
        begin[d] = pads[i];
        end[d] = pads[axis_count + i];
        if (begin[d] < -INT32_MAX || begin[d] > INT32_MAX || end[d] < -INT32_MAX || end[d] > INT32_MAX)
            return isgi_fail(c->err, ISG_E_SHAPE, "pad out of range on axis %lld", (long long)d);
    }
    return ISG_OK;
}

isg_status isgi_shape_pad(isgi_call *c)
{
    const isg_tensor *x, *value = isgi_in(c, 2);
    int64_t begin[ISG_MAX_RANK], end[ISG_MAX_RANK], dims[ISG_MAX_RANK];
    const isg_pad_mode mode = c->node->attr.pad.mode;
    ISGI_TRY(isgi_arity(c, 2, 4, 1));
    x = c->in[0];
    if (mode != ISG_PAD_CONSTANT && mode != ISG_PAD_REFLECT && mode != ISG_PAD_EDGE)
        return isgi_fail(c->err, ISG_E_UNSUPPORTED, "unknown mode %d", (int)mode);
    if (value && (value->count != 1 || value->dtype != x->dtype))
        return isgi_fail(c->err, ISG_E_SHAPE, "the value is not one element of the input's type");
    ISGI_TRY(pad_amounts(begin, end, c));
    for (int32_t d = 0; d < x->rank; d++) {
        const int64_t most = begin[d] > end[d] ? begin[d] : end[d];
        dims[d] = x->dims[d] + begin[d] + end[d];
        if (dims[d] < 0) return isgi_fail(c->err, ISG_E_SHAPE, "axis %d is cropped below 0", (int)d);
        if ((mode == ISG_PAD_REFLECT && most > 0 && most >= x->dims[d]) ||
            (mode == ISG_PAD_EDGE && most > 0 && x->dims[d] == 0))
            return isgi_fail(c->err, ISG_E_SHAPE, "axis %d of size %lld is too small for a pad of %lld", (int)d,
                             (long long)x->dims[d], (long long)most);
    }
    return isgi_tensor_shape(&c->out[0], x->dtype, x->rank, dims, c->err);
}

static int64_t pad_source(isg_pad_mode mode, int64_t i, int64_t size)
{
    if (i >= 0 && i < size) return i;
    if (mode == ISG_PAD_EDGE) return i < 0 ? 0 : size - 1;
    if (mode == ISG_PAD_REFLECT) return i < 0 ? -i : 2 * (size - 1) - i;
    return FILL;
}

isg_status isgi_eval_pad(const isgi_call *c)
{
    const isg_tensor *x = c->in[0], *value = isgi_in(c, 2);
    static const uint8_t zero[8];
    int64_t begin[ISG_MAX_RANK], end[ISG_MAX_RANK], stride[ISG_MAX_RANK];
    index_map map;
    if (c->out[0].count == 0) return ISG_OK;
    ISGI_TRY(pad_amounts(begin, end, c));
    ISGI_TRY(create_map(&map, &c->out[0], c->err));
    row_strides(stride, x);
    for (int32_t d = 0; d < x->rank; d++) {
        for (int64_t i = 0; i < c->out[0].dims[d]; i++) {
            const int64_t from = pad_source(c->node->attr.pad.mode, i - begin[d], x->dims[d]);
            map.offset[d][i] = from == FILL ? FILL : from * stride[d];
        }
    }
    move_mapped(&c->out[0], x, &map, value ? value->data : zero);
    isg_free(map.storage);
    return ISG_OK;
}

isg_status isgi_shape_concat(isgi_call *c)
{
    int64_t axis, dims[ISG_MAX_RANK];
    ISGI_TRY(isgi_arity(c, 1, INT32_MAX, 1));
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], c->in[0]->rank, c->err));
    memcpy(dims, c->in[0]->dims, sizeof dims);
    for (int32_t i = 1; i < c->in_count; i++) {
        const isg_tensor *t = c->in[i];
        if (!t) return isgi_fail(c->err, ISG_E_SHAPE, "input %d is missing", (int)i);
        if (t->dtype != c->in[0]->dtype || t->rank != c->in[0]->rank)
            return isgi_fail(c->err, ISG_E_SHAPE, "input %d has another type or rank", (int)i);
        for (int32_t d = 0; d < t->rank; d++)
            if (d != axis && t->dims[d] != dims[d])
                return isgi_fail(c->err, ISG_E_SHAPE, "input %d differs on axis %d", (int)i, (int)d);
        dims[axis] += t->dims[axis]; /* each is below 2^40 and there are below 2^24 */
    }
    return isgi_tensor_shape(&c->out[0], c->in[0]->dtype, c->in[0]->rank, dims, c->err);
}

/* Sizes of t as [outer][axis * inner] in elements. */
static void block_sizes(const isg_tensor *t, int64_t axis, int64_t *outer, int64_t *row)
{
    *outer = *row = 1;
    for (int32_t d = 0; d < t->rank; d++) *(d < axis ? outer : row) *= t->dims[d];
}

/* Copies `row` elements of each outer block between a tensor and a place in a wider one. */
static void copy_blocks(char *to, size_t to_step, const char *from, size_t from_step, int64_t outer, size_t bytes)
{
    for (int64_t o = 0; o < outer && bytes; o++) memcpy(to + (size_t)o * to_step, from + (size_t)o * from_step, bytes);
}

isg_status isgi_eval_concat(const isgi_call *c)
{
    const size_t size = isg_dtype_size(c->out[0].dtype);
    int64_t axis, outer, row;
    size_t at = 0, wide;
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], c->in[0]->rank, c->err));
    block_sizes(&c->out[0], axis, &outer, &row);
    wide = (size_t)row * size;
    for (int32_t i = 0; i < c->in_count; i++) {
        size_t bytes;
        block_sizes(c->in[i], axis, &outer, &row);
        bytes = (size_t)row * size;
        copy_blocks((char *)c->out[0].data + at, wide, c->in[i]->data, bytes, outer, bytes);
        at += bytes;
    }
    return ISG_OK;
}

isg_status isgi_shape_split(isgi_call *c)
{
    const isg_tensor *x;
    int64_t axis, dims[ISG_MAX_RANK], each, left;
    int64_t *sizes = NULL;
    isg_status status = ISG_OK;
    ISGI_TRY(isgi_arity(c, 1, 2, INT32_MAX));
    x = c->in[0];
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], x->rank, c->err));
    memcpy(dims, x->dims, sizeof dims);
    left = x->dims[axis];
    each = (left + c->out_count - 1) / c->out_count;
    if (isgi_in(c, 1)) {
        int32_t count = 0;
        sizes = isgi_malloc((size_t)c->out_count * sizeof *sizes);
        if (!sizes) return isgi_nomem(c->err);
        status = isgi_read_list(sizes, &count, c->out_count, c->in[1], c->err);
        if (status == ISG_OK && count != c->out_count)
            status = isgi_fail(c->err, ISG_E_SHAPE, "%d sizes for %d outputs", (int)count, (int)c->out_count);
    }
    for (int32_t i = 0; i < c->out_count && status == ISG_OK; i++) {
        dims[axis] = sizes ? sizes[i] : each < left ? each : left;
        if (dims[axis] < 0 || dims[axis] > left)
            status = isgi_fail(c->err, ISG_E_SHAPE, "the sizes do not add up to %lld", (long long)x->dims[axis]);
        else
            status = isgi_tensor_shape(&c->out[i], x->dtype, x->rank, dims, c->err);
        left -= dims[axis];
    }
    isg_free(sizes);
    if (status == ISG_OK && left != 0)
        return isgi_fail(c->err, ISG_E_SHAPE, "the sizes do not add up to %lld", (long long)x->dims[axis]);
    return status;
}

isg_status isgi_eval_split(const isgi_call *c)
{
    const size_t size = isg_dtype_size(c->in[0]->dtype);
    int64_t axis, outer, row;
    size_t at = 0, wide;
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], c->in[0]->rank, c->err));
    block_sizes(c->in[0], axis, &outer, &row);
    wide = (size_t)row * size;
    for (int32_t i = 0; i < c->out_count; i++) {
        size_t bytes;
        block_sizes(&c->out[i], axis, &outer, &row);
        bytes = (size_t)row * size;
        if (c->out[i].data) copy_blocks(c->out[i].data, bytes, (const char *)c->in[0]->data + at, wide, outer, bytes);
        at += bytes;
    }
    return ISG_OK;
}

isg_status isgi_shape_gather(isgi_call *c)
{
    const isg_tensor *x, *index;
    int64_t axis, dims[2 * ISG_MAX_RANK];
    int32_t rank = 0;
    ISGI_TRY(isgi_arity(c, 2, 2, 1));
    x = c->in[0];
    index = c->in[1];
    if (index->dtype != ISG_DT_I64 && index->dtype != ISG_DT_I32)
        return isgi_fail(c->err, ISG_E_SHAPE, "indices are not int32 or int64");
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], x->rank, c->err));
    for (int32_t d = 0; d < axis; d++) dims[rank++] = x->dims[d];
    for (int32_t d = 0; d < index->rank; d++) dims[rank++] = index->dims[d];
    for (int32_t d = (int32_t)axis + 1; d < x->rank; d++) dims[rank++] = x->dims[d];
    return isgi_tensor_shape(&c->out[0], x->dtype, rank, dims, c->err);
}

isg_status isgi_eval_gather(const isgi_call *c)
{
    const isg_tensor *x = c->in[0], *index = c->in[1];
    const size_t size = isg_dtype_size(x->dtype);
    int64_t axis, outer, row, extent;
    ISGI_TRY(isgi_axis(&axis, c->node->attr.axes.axes[0], x->rank, c->err));
    extent = x->dims[axis];
    block_sizes(x, axis, &outer, &row);
    for (int64_t i = 0; i < index->count; i++) {
        const size_t bytes = extent ? (size_t)(row / extent) * size : 0;
        int64_t at;
        isgi_read_i64(&at, index, i, 1);
        if (at < -extent || at >= extent)
            return isgi_fail(c->err, ISG_E_SHAPE, "index %lld is outside 0..%lld", (long long)at,
                             (long long)extent - 1);
        if (at < 0) at += extent;
        copy_blocks((char *)c->out[0].data + (size_t)i * bytes, bytes * (size_t)index->count,
                    (const char *)x->data + (size_t)at * bytes, (size_t)row * size, outer, bytes);
    }
    return ISG_OK;
}

/* attr start and end clamped to 0..rank. */
static void shape_range(const isgi_call *c, int64_t *start, int64_t *end)
{
    const isg_axes_attr *a = &c->node->attr.axes;
    const int64_t rank = c->in[0]->rank;
    *start = a->start < 0 ? a->start + rank : a->start;
    *end = !a->has_end ? rank : a->end < 0 ? a->end + rank : a->end;
    *start = *start < 0 ? 0 : *start > rank ? rank : *start;
    *end = *end < *start ? *start : *end > rank ? rank : *end;
}

isg_status isgi_shape_shape(isgi_call *c)
{
    int64_t start, end, count;
    ISGI_TRY(isgi_arity(c, 1, 1, 1));
    shape_range(c, &start, &end);
    count = end - start;
    return isgi_tensor_shape(&c->out[0], ISG_DT_I64, 1, &count, c->err);
}

isg_status isgi_eval_shape(const isgi_call *c)
{
    int64_t start, end;
    shape_range(c, &start, &end);
    isgi_write_i64(&c->out[0], 0, c->in[0]->dims + start, end - start);
    return ISG_OK;
}

isg_status isgi_shape_constant_of_shape(isgi_call *c)
{
    const isg_tensor *value = isgi_in(c, 1);
    int64_t dims[ISG_MAX_RANK];
    int32_t rank;
    ISGI_TRY(isgi_arity(c, 1, 2, 1));
    if (value && value->count != 1) return isgi_fail(c->err, ISG_E_SHAPE, "the value is not one element");
    ISGI_TRY(isgi_read_list(dims, &rank, ISG_MAX_RANK, c->in[0], c->err));
    return isgi_tensor_shape(&c->out[0], value ? value->dtype : ISG_DT_F32, rank, dims, c->err);
}

isg_status isgi_eval_constant_of_shape(const isgi_call *c)
{
    const isg_tensor *value = isgi_in(c, 1);
    const size_t size = isg_dtype_size(c->out[0].dtype);
    for (int64_t i = 0; value && i < c->out[0].count; i++)
        memcpy((char *)c->out[0].data + (size_t)i * size, value->data, size);
    return ISG_OK;
}
