/* SPDX-License-Identifier: Apache-2.0 */
/* Bit errors in the streams of an image, sealed again with fresh checksums. */
#include <insitu/bit_errors.h>
#include <insitu/format.h>
#include <insitu/rt.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "host/rng.h"
#include "pack/image.h"
#include "rt/view.h"

const char *isg_error_stream_name(isg_error_stream stream)
{
    static const char *const names[ISG_ERROR_STREAMS] = {"basis", "u", "v", "weight", "scale", "bias"};
    return (unsigned)stream < ISG_ERROR_STREAMS ? names[stream] : "unknown";
}

typedef struct injection {
    uint8_t *image; /* the copy */
    const isgi_model *m;
    isgi_rng rng[ISG_ERROR_STREAMS];
    uint64_t below[ISG_ERROR_STREAMS]; /* a 53-bit number below this one flips */
    isg_bit_error_report report;
} injection;

/* The place in the copy of a pointer into it that the view gave. */
static uint8_t *writable(injection *j, const uint8_t *p)
{
    return j->image + (p - j->m->image);
}

/* Flips bits of `count` numbers of `bits` bits each; those of 16 and 32 bits are IEEE numbers and stay finite. */
static void flip(injection *j, isg_error_stream s, const uint8_t *at, uint64_t count, uint32_t bits)
{
    uint8_t *p = at ? writable(j, at) : NULL;
    const uint64_t total = p ? count * bits : 0;
    j->report.bits[s] += total;
    for (uint64_t b = 0; b < total; b++) {
        uint8_t *byte = p + b / 8;
        if (isgi_rng_u64(&j->rng[s]) >> 11 >= j->below[s]) continue;
        *byte ^= (uint8_t)(1u << b % 8);
        if ((bits == 32 && (isgi_load_u32(p + b / 32 * 4) & 0x7f800000u) == 0x7f800000u) ||
            (bits == 16 && (isgi_load_u16(p + b / 16 * 2) & 0x7c00u) == 0x7c00u)) {
            *byte ^= (uint8_t)(1u << b % 8);
            j->report.spared[s]++;
        } else {
            j->report.flipped[s]++;
        }
    }
}

static void flip_codes(injection *j, const isg_codes *c, isg_error_stream codes, isg_error_stream scales)
{
    if (!c->rows) return;
    flip(j, codes, c->data, (uint64_t)c->rows * c->cols, c->bits);
    if (c->scale_count) flip(j, scales, c->scales, c->scale_count, c->scale_bits);
}

static void flip_weight(injection *j, uint32_t index, int is_layer)
{
    isg_weight w;
    isgi_view_weight(j->m, index, &w);
    if (!is_layer) {
        flip_codes(j, &w.basis, ISG_ERROR_BIAS, ISG_ERROR_BIAS);
        return;
    }
    flip_codes(j, &w.basis, w.level1 || w.level2 ? ISG_ERROR_BASIS : ISG_ERROR_WEIGHT, ISG_ERROR_SCALE);
    if (w.level1) flip_codes(j, &w.u, ISG_ERROR_U, ISG_ERROR_SCALE);
    if (w.level2) flip_codes(j, &w.v, ISG_ERROR_V, ISG_ERROR_SCALE);
}

/* Which weight records are those of convolutions and fully connected layers. */
static isg_status mark_layers(const isgi_model *m, uint8_t *layers, isg_error *err)
{
    isgi_cursor c = isgi_view_ops(m);
    for (uint32_t i = 0; i < m->ops; i++) {
        const uint32_t own = m->inputs + m->constants + i;
        isgi_shape shape;
        isgi_op op;
        isgi_view_tensor(m, own, &shape, NULL);
        ISGI_TRY(isgi_view_read_op(&c, own, shape.rank, &op, err));
        if (op.kind == ISG_KIND_CONV || op.kind == ISG_KIND_FC) layers[op.weight] = 1;
    }
    return ISG_OK;
}

static void seal(uint8_t *image)
{
    const uint32_t sections = isgi_load_u32(image + ISG_FORMAT_AT_SECTIONS);
    const size_t head = ISG_FORMAT_HEADER_BYTES + (size_t)sections * ISG_FORMAT_SECTION_BYTES;
    for (uint32_t i = 0; i < sections; i++) {
        uint8_t *entry = image + ISG_FORMAT_HEADER_BYTES + (size_t)i * ISG_FORMAT_SECTION_BYTES;
        const uint64_t offset = isgi_load_u64(entry + 8), bytes = isgi_load_u64(entry + 16);
        isgi_store_u32(entry + 4, isgi_crc32c(0, image + offset, (size_t)bytes));
    }
    isgi_store_u32(image + ISG_FORMAT_AT_CRC, 0);
    isgi_store_u32(image + ISG_FORMAT_AT_CRC, isgi_crc32c(0, image, head));
}

static isg_status begin(injection *j, const isg_bit_errors *errors, isg_error *err)
{
    if (errors->struct_size != sizeof *errors)
        return isgi_fail(err, ISG_E_ARG, "bit errors of another library version");
    for (uint32_t s = 0; s < ISG_ERROR_STREAMS; s++) {
        if (!(errors->rate[s] >= 0.0 && errors->rate[s] <= 1.0))
            return isgi_fail(err, ISG_E_ARG, "bit error rate of %s is no probability",
                             isg_error_stream_name((isg_error_stream)s));
        j->below[s] = (uint64_t)(errors->rate[s] * 9007199254740992.0);
        isgi_rng_seed(&j->rng[s], errors->seed, s);
    }
    return ISG_OK;
}

isg_status isg_bit_errors_inject(void **out, isg_bit_error_report *report, const void *image, size_t bytes,
                                 const isg_bit_errors *errors, isg_error *err)
{
    injection j = {0};
    isg_rt_model rt;
    uint8_t *layers = NULL;
    isg_status status;
    ISGI_TRY(begin(&j, errors, err));
    j.image = isgi_malloc(bytes);
    if (!j.image) return isgi_nomem(err);
    memcpy(j.image, image, bytes);
    status = isgi_image_open(&rt, j.image, bytes, err);
    if (status != ISG_OK) goto done;
    j.m = isgi_model_of_const(&rt);
    layers = isgi_calloc(j.m->weight_count + 1u, 1);
    status = layers ? mark_layers(j.m, layers, err) : isgi_nomem(err);
    if (status != ISG_OK) goto done;
    for (uint32_t i = 0; i < j.m->weight_count; i++) flip_weight(&j, i, layers[i]);
    seal(j.image);
    status = isg_rt_open(&rt, j.image, bytes, err);
    if (status != ISG_OK) goto done;
    *out = j.image;
    j.image = NULL;
    if (report) *report = j.report;
done:
    isg_free(j.image);
    isg_free(layers);
    return status;
}
