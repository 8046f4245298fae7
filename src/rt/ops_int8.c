/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions and fully connected layers on u8 activations and s8 codes. Sums are exact integers; the roundings
 * between them are those of docs/numerics.md, so that every instruction set gives the same bits. */
#include <string.h>

#include "base/endian.h"
#include "base/half.h"
#include "rt/gen.h"
#include "rt/int8_ops.h"

#define INT8_MIDDLE 128 /* code of 0.0 in the intermediates */
#define INT8_PEAK 127.0f
#define MADE_LEAST 1e-30f /* of the largest number of a column */

typedef struct int8_job {
    const isg_rt_context *ctx;
    const isgi_step *step;
    const isgi_int8 *q;
    const isgi_conv *c;
    const isg_weight *w, *factors; /* of the codes; as stored, if W is made of them */
    uint8_t *base;
    struct int8_pack {
        const isg_codes *codes;
        int8_t *dst;
        uint32_t tasks;
    } packs[2];         /* the factors that products read, unpacked block by block */
    isgk_finish finish; /* of the output; its residual is that of output pixel 0 */
    const isgk_act *after;
} int8_job;

static float *floats_at(const int8_job *j, size_t place)
{
    return (float *)(void *)(j->base + place);
}

static int32_t *ints_at(const int8_job *j, size_t place)
{
    return (int32_t *)(void *)(j->base + place);
}

static uint8_t *worker_part(const int8_job *j, uint32_t worker)
{
    return j->base + j->q->worker + (size_t)worker * j->q->worker_bytes;
}

/* ---- codes as integers ---- */

/* Codes are kept as bytes j - 2^(q-1); what they stand for is that, or, of odd numbers, twice that and one more. Times
 * the column's step it is the weight. */
static int32_t code_offset(const isg_codes *codes)
{
    return -(1 << (codes->bits - 1));
}

static isgk_codes code_kind(const isg_codes *codes)
{
    const isgk_codes kind = {-code_offset(codes), codes->family != ISG_QUANT_MIDTREAD || codes->bits == 1};
    return kind;
}

/* dst[c] = scale * the step of column c, c < n. */
static void list_steps(float *restrict dst, const isg_codes *codes, float scale, size_t n)
{
    const float levels = codes->family == ISG_QUANT_PAPER ? (float)((1u << codes->bits) - 1u) : 1.0f;
    const size_t apart = codes->scale_count == 1 ? 0 : 1;
    if (codes->scale_bits == 16) {
        for (size_t c = 0; c < n; c++) dst[c] = isgi_half_to_float(isgi_load_u16(codes->scales + 2 * apart * c));
    } else {
        for (size_t c = 0; c < n; c++) dst[c] = isgi_load_f32(codes->scales + 4 * apart * c);
    }
    for (size_t c = 0; c < n; c++) dst[c] = scale * (dst[c] / levels);
}

/* n bytes of one base and the n of the next, side by side. */
static void pair_bytes(int8_t *restrict dst, const int8_t *restrict src, size_t n)
{
    for (size_t o = 0; o < n; o++) {
        dst[2 * o] = src[o];
        dst[2 * o + 1] = src[n + o];
    }
}

static void plan_pack(int8_job *j, int which, const isg_codes *codes, size_t place)
{
    const uint32_t tasks = (codes->rows + ISGI_INT8_BLOCK - 1) / ISGI_INT8_BLOCK;
    j->packs[which] = (struct int8_pack){codes, (int8_t *)(j->base + place), tasks};
}

/* ---- W made, then rounded to codes ---- */

/* W from its factors, by columns rounded to codes of one step each. The bits must not depend on the machine, and SIMD's
 * products do. */
static void make_codes(const int8_job *j)
{
    const float magic = 12582912.0f, most = (float)((1 << (ISGI_INT8_MADE_BITS - 1)) - 1); /* 1.5 * 2^23: no fraction */
    const size_t cols = j->w->co, count = j->w->basis.rows * cols;
    float *restrict matrix = floats_at(j, j->q->matrix), *mul = floats_at(j, j->q->mul_first);
    int8_t *restrict codes = (int8_t *)(j->base + j->q->codes);
    isgk_table strict = j->ctx->kernels, scalar;
    isgk_table_init(&scalar, ISG_ISA_SCALAR);
    strict.gemm_f32 = scalar.gemm_f32;
    isgi_gen_rows(&strict, matrix, j->factors, 0, j->w->basis.rows, matrix + count);
    for (size_t c = 0; c < cols; c++) {
        float largest = MADE_LEAST;
        for (size_t i = c; i < count; i += cols) {
            const float size = matrix[i] < 0.0f ? -matrix[i] : matrix[i];
            largest = size > largest ? size : largest;
        }
        mul[c] = j->q->scale * (largest / most);
        for (size_t i = c; i < count; i += cols) {
            const float x = matrix[i] * (most / largest), y = x < most ? x : most;
            codes[i] = (int8_t)(int32_t)((y > -most ? y : -most) + magic - magic); /* NaN is a code as well */
        }
    }
}

/* One block of rows of a factor into groups of four for gemm_u8s8. */
static void pack_block(const int8_job *j, const struct int8_pack *p, uint32_t index, uint32_t worker)
{
    const isgk_table *k = &j->ctx->kernels;
    const isg_codes *codes = p->codes;
    const uint32_t row = index * ISGI_INT8_BLOCK, left = codes->rows - row;
    const uint32_t rows = left < ISGI_INT8_BLOCK ? left : ISGI_INT8_BLOCK, cols = codes->cols, bo = j->w->bo;
    const uint32_t pairs = j->q->paired && codes == &j->w->u ? cols : 0; /* columns that lie in pairs */
    const size_t at = (size_t)row * cols / 8 * codes->bits;              /* whole: the block is a multiple of 8 rows */
    int8_t *plain = (int8_t *)worker_part(j, worker), *dst = p->dst + (size_t)row * cols;
    if (j->q->made)
        plain = (int8_t *)(j->base + j->q->codes) + (size_t)row * cols;
    else
        k->unpack_s8(plain, codes->data + at, (size_t)codes->data_bytes - at, (size_t)rows * cols, codes->bits,
                     code_offset(codes));
    for (uint32_t r = 0; r < rows; r += 4, dst += 4 * (size_t)cols, plain += 4 * (size_t)cols) {
        const uint32_t some = rows - r < 4 ? rows - r : 4;
        if (!pairs) k->interleave_s8(dst, plain, cols, some, cols);
        for (uint32_t c = 0; c < pairs; c += 2 * bo)
            k->interleave_pairs_s8(dst + 4 * (size_t)c, plain + c, cols, some, bo);
    }
}

/* The start of a packed factor's sums: what a zero point of `zero` adds, negated. */
static void set_start(const int8_job *j, const struct int8_pack *p, size_t init, int32_t zero, uint32_t worker)
{
    const isgk_codes kind = code_kind(p->codes);
    const uint32_t groups = (p->codes->rows + 3) / 4, cols = p->codes->cols;
    const int32_t behind = kind.odd ? (int32_t)(4 * groups - p->codes->rows) : 0; /* rows of bytes 0 stand for ones */
    int32_t *start = ints_at(j, init), *nothing = (int32_t *)(void *)worker_part(j, worker);
    memset(start, 0, (size_t)cols * sizeof *start);
    if (!zero) return;
    memset(nothing, 0, (size_t)cols * sizeof *nothing);
    j->ctx->kernels.gemm_u8s8(start, cols, j->base + j->q->ones, 0, p->dst, cols, 1, cols, groups, nothing, &kind);
    for (uint32_t i = 0; i < cols; i++) start[i] = (start[i] - behind) * -zero;
}

/* The basis (or a depthwise weight) for dwconv_u8s8: `lists` taps of `channels`. Taps behind them read the code of 0.0,
 * as all the start of the sums takes into account. */
static void pack_taps(const int8_job *j, uint32_t lists, uint32_t channels, int32_t zero)
{
    const isgi_int8 *q = j->q;
    const isg_codes *codes = &j->w->basis;
    const int32_t odd = code_kind(codes).odd;
    const size_t step = ((size_t)channels + 63) / 64 * 256, count = (size_t)lists * channels;
    int8_t *plain = (int8_t *)(j->base + q->codes), *dst = (int8_t *)(j->base + q->basis);
    int32_t *start = ints_at(j, q->init_basis);
    j->ctx->kernels.unpack_s8(plain, codes->data, (size_t)codes->data_bytes, count, codes->bits, code_offset(codes));
    memset(dst, 0, q->groups * step);
    for (uint32_t c = 0; c < channels; c++) start[c] = -zero * odd * (int32_t)(4 * q->groups);
    for (uint32_t t = 0; t < lists; t++) {
        int8_t *group = dst + t / 4 * step + t % 4;
        for (uint32_t c = 0; c < channels; c++) {
            group[isgk_dw_slot(c)] = plain[(size_t)t * channels + c];
            start[c] -= zero * plain[(size_t)t * channels + c] * (1 << odd);
        }
    }
}

/* What the bytes of paired weights stand for: odd numbers are made of the codes here already where bytes hold them. */
static isgk_codes pair_kind(const isg_codes *codes)
{
    const isgk_codes kind = code_kind(codes), whole = {2 * kind.most - 1, 0};
    return kind.odd && whole.most < 128 ? whole : kind;
}

/* The basis for dwpairs_u8s8. */
static void pack_pairs(const int8_job *j)
{
    const isgi_int8 *q = j->q;
    const isg_codes *codes = &j->w->basis;
    const size_t bo = j->w->bo, step = isgi_int8_pair_bytes(j->w->bo), count = (size_t)codes->rows * codes->cols;
    const int odd = code_kind(codes).odd, made = odd && !pair_kind(codes).odd;
    int8_t *plain = (int8_t *)(j->base + q->codes), *dst = (int8_t *)(j->base + q->basis);
    int32_t *start = ints_at(j, q->init_basis);
    j->ctx->kernels.unpack_s8(plain, codes->data, (size_t)codes->data_bytes, count, codes->bits, code_offset(codes));
    for (size_t i = 0; i < count && made; i++) plain[i] = (int8_t)(2 * plain[i] + 1);
    memset(start, 0, bo * sizeof *start);
    for (size_t t = 0; t < count; t += 2 * bo, dst += step) {
        pair_bytes(dst, plain + t, bo);
        memset(dst + 2 * bo, 0, step - 2 * bo);
        for (size_t o = 0; o < bo; o++) start[o] -= INT8_MIDDLE * (plain[t + o] + plain[t + bo + o]);
    }
    if (odd && !made)
        for (size_t o = 0; o < bo; o++) start[o] = 2 * start[o] - INT8_MIDDLE * (int32_t)(count / bo);
}

/* ---- multipliers between the integers ---- */

static void set_bias(const int8_job *j)
{
    float *add = floats_at(j, j->q->add);
    const float *bias = isgi_vector(j->ctx, j->step->op.vector, add);
    if (!bias)
        memset(add, 0, j->c->oc * sizeof *add);
    else if (bias != add)
        memcpy(add, bias, j->c->oc * sizeof *add);
}

/* The products of U are kept in steps that make all bi of them count alike in the sum of channel o: total is the
 * step of that sum. */
static void set_level1_multipliers(const int8_job *j, uint32_t worker)
{
    const isg_weight *w = j->w;
    const size_t bo = w->bo, columns = w->bi * bo, side = j->q->paired ? 2 : 1;
    const float mid = j->q->ranges.mid / INT8_PEAK, sum = j->q->ranges.sum / INT8_PEAK;
    float *first = floats_at(j, j->q->mul_first), *restrict total = floats_at(j, j->q->mul_basis);
    float *restrict u = (float *)(void *)worker_part(j, worker), *restrict b = u + columns;
    list_steps(u, &w->u, j->q->scale, columns);
    list_steps(b, &w->basis, 1.0f, columns);
    memset(total, 0, bo * sizeof *total);
    for (size_t i = 0; i < columns; i += bo) {
        for (size_t o = 0; o < bo; o++) {
            const float size = b[i + o] < 0.0f ? -b[i + o] : b[i + o];
            total[o] = size > total[o] ? size : total[o];
        }
    }
    for (size_t o = 0; o < bo; o++) total[o] *= mid;
    for (size_t i = 0; i < w->bi; i++) {
        float *to = first + i / side * side * bo + i % side;
        for (size_t o = 0; o < bo; o++) {
            const float step = u[i * bo + o] * (b[i * bo + o] / total[o]);
            to[side * o] = total[o] > 0.0f ? step : 0.0f;
        }
    }
    for (size_t o = 0; o < bo && w->level2; o++) total[o] /= sum;
}

/* Everything before the products that is not packing. */
static void prepare_rest(const int8_job *j, uint32_t worker)
{
    const isgi_int8 *q = j->q;
    const isg_weight *w = j->w;
    const float sum = q->ranges.sum / INT8_PEAK;
    memset(j->base + q->ones, 1, q->k4 > q->sum_step / 4 ? 4 * (size_t)q->k4 : q->sum_step);
    set_bias(j);
    if (q->form != ISGI_INT8_FACTORED) memset(j->base + q->pad, q->zero, (size_t)q->line * q->x_step);
    if (q->form == ISGI_INT8_FACTORED) {
        memset(j->base + q->pad, INT8_MIDDLE, (size_t)q->line * w->bi * w->bo);
        if (q->paired)
            pack_pairs(j);
        else
            pack_taps(j, w->taps * w->bi, w->bo, INT8_MIDDLE);
        set_level1_multipliers(j, worker);
    } else if (q->form == ISGI_INT8_DEPTHWISE) {
        pack_taps(j, w->taps, j->c->oc, q->zero);
        list_steps(floats_at(j, q->mul_basis), &w->basis, q->scale, j->c->oc);
    } else if (!q->made) {
        list_steps(floats_at(j, q->mul_first), &w->basis, w->level2 ? q->scale / sum : q->scale, w->basis.cols);
    }
    if (w->level2) list_steps(floats_at(j, q->mul_second), &w->v, sum, j->c->oc);
}

static void prepare_task(void *arg, uint32_t index, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const uint32_t first = j->packs[0].tasks;
    if (index == 0)
        prepare_rest(j, worker);
    else if (index - 1 < first)
        pack_block(j, &j->packs[0], index - 1, worker);
    else
        pack_block(j, &j->packs[1], index - 1 - first, worker);
}

static void start_second(const int8_job *j, uint32_t worker)
{
    if (j->packs[1].tasks) set_start(j, &j->packs[1], j->q->init_second, INT8_MIDDLE, worker);
}

static void prepare(int8_job *j)
{
    const isgi_int8 *q = j->q;
    if (q->made) make_codes(j);
    if (q->form != ISGI_INT8_DEPTHWISE)
        plan_pack(j, 0, q->form == ISGI_INT8_FACTORED ? &j->w->u : &j->w->basis, q->first);
    if (j->w->level2) plan_pack(j, 1, &j->w->v, q->second);
    isgi_run_tasks(j->ctx, prepare_task, j, 1 + j->packs[0].tasks + j->packs[1].tasks);
    if (j->packs[0].tasks) set_start(j, &j->packs[0], q->init_first, q->zero, 0);
    if (!q->share) start_second(j, 0);
}

/* ---- the input as codes ---- */

/* Codes of input pixels from `pixel` on, where the step before gave them. */
static const uint8_t *given_codes(const int8_job *j, uint64_t pixel)
{
    return (const uint8_t *)(const void *)j->ctx->tensors[j->step->op.inputs[0]].data + (size_t)pixel * j->q->x_step;
}

static void quantise_pixels(const int8_job *j, uint8_t *dst, uint64_t first, size_t pixels)
{
    const isgk_table *k = &j->ctx->kernels;
    const size_t channels = j->c->ic, step = j->q->x_step;
    const float inverse = 1.0f / j->q->scale;
    const float *src = j->ctx->tensors[j->step->op.inputs[0]].data + (size_t)first * channels;
    if (j->q->takes) {
        memcpy(dst, given_codes(j, first), pixels * step);
        return;
    }
    if (step == channels) {
        k->quantise_u8(dst, src, pixels * channels, inverse, j->q->zero);
        return;
    }
    for (size_t p = 0; p < pixels; p++, dst += step, src += channels) {
        k->quantise_u8(dst, src, channels, inverse, j->q->zero);
        memset(dst + channels, 0, step - channels);
    }
}

/* The columns of padding of a row of pixels of `pixel` bytes. */
static void pad_line(const int8_job *j, uint8_t *line, size_t pixel, int zero)
{
    const size_t right = j->q->left + j->c->iw;
    memset(line, zero, j->q->left * pixel);
    memset(line + right * pixel, zero, (j->q->line - right) * pixel);
}

/* One row of the input, with its padding, for taps. */
static void quantise_line_task(void *arg, uint32_t index, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const isgi_int8 *q = j->q;
    uint8_t *line = j->base + q->x + (size_t)index * q->line * q->x_step;
    (void)worker;
    pad_line(j, line, q->x_step, q->zero);
    quantise_pixels(j, line + (size_t)q->left * q->x_step, (uint64_t)index * j->c->iw, j->c->iw);
}

/* All of the input, where pixels are read more than once; else tasks make the codes that they need. */
static void quantise_input(int8_job *j)
{
    if (j->q->form != ISGI_INT8_FACTORED && j->q->line)
        isgi_run_tasks(j->ctx, quantise_line_task, j, (uint64_t)j->c->batch * j->c->ih);
}

/* ---- products ---- */

typedef struct int8_factor {
    const int8_t *codes;
    const int32_t *init;
    const float *mul;
    uint32_t columns, k4;
    isgk_codes kind;
} int8_factor;

static int8_factor factor_at(const int8_job *j, const isg_codes *from, size_t codes, size_t init, size_t mul,
                             uint32_t columns, uint32_t k4)
{
    const int8_factor f = {
        (const int8_t *)(j->base + codes), ints_at(j, init), floats_at(j, mul), columns, k4, code_kind(from)};
    return f;
}

/* u8 rows times a factor, as u8 again. */
static void product_u8(const isgk_table *k, uint8_t *dst, size_t ldd, const uint8_t *a, size_t lda, size_t rows,
                       const int8_factor *f, int32_t *tile)
{
    for (uint32_t n = 0; n < f->columns; n += ISGI_INT8_COLUMNS) {
        const uint32_t cols = f->columns - n < ISGI_INT8_COLUMNS ? f->columns - n : ISGI_INT8_COLUMNS;
        const size_t step = isgi_int8_tile_step(cols);
        k->gemm_u8s8(tile, step, a, lda, f->codes + 4 * (size_t)n, f->columns, rows, cols, f->k4, f->init + n,
                     &f->kind);
        k->requantise_u8(dst + n, ldd, tile, step, rows, cols, f->mul + n, (float)INT8_MIDDLE);
    }
}

/* Where output pixel `first` lies in the layer's output. */
static float *output_at(const int8_job *j, uint64_t first)
{
    return j->ctx->tensors[j->step->op.output].data + (size_t)first * j->c->oc;
}

/* Sums of columns n .. n+cols-1 of output pixels from `first`, finished, to `out`; as codes where the next step takes
 * those. */
static void finish_sums(const int8_job *j, float *out, uint64_t first, const int32_t *sums, size_t rows, uint32_t n,
                        uint32_t cols, const float *mul)
{
    const isgk_table *k = &j->ctx->kernels;
    const size_t oc = j->c->oc, at = (size_t)first * oc + n, step = isgi_int8_tile_step(cols);
    isgk_finish finish = j->finish;
    if (j->q->gives) {
        const isgi_int8 *next = &j->step[1].int8;
        const isgk_recode to = {mul + n,   floats_at(j, j->q->add) + n, finish.lo,
                                finish.hi, 1.0f / next->scale,          next->zero};
        uint8_t *codes = (uint8_t *)(void *)j->ctx->tensors[j->step->op.output].data;
        k->recode_u8(codes + at, oc, sums, step, rows, cols, &to);
        return;
    }
    if (finish.residual) finish.residual += at;
    k->dequantise_f32(out + n, oc, sums, step, rows, cols, mul + n, floats_at(j, j->q->add) + n, &finish);
    if (j->after) k->epilogue_f32(out + n, oc, rows, cols, NULL, j->after);
}

/* u8 rows times a factor: finished output pixels from `first`. */
static void product_out(const int8_job *j, float *out, uint64_t first, const uint8_t *a, size_t lda, size_t rows,
                        const int8_factor *f, int32_t *tile)
{
    for (uint32_t n = 0; n < f->columns; n += ISGI_INT8_COLUMNS) {
        const uint32_t cols = f->columns - n < ISGI_INT8_COLUMNS ? f->columns - n : ISGI_INT8_COLUMNS;
        j->ctx->kernels.gemm_u8s8(tile, isgi_int8_tile_step(cols), a, lda, f->codes + 4 * (size_t)n, f->columns, rows,
                                  cols, f->k4, f->init + n, &f->kind);
        finish_sums(j, out, first, tile, rows, n, cols, f->mul);
    }
}

/* Some bytes behind the n are read and written as well: runs are short, and most of a call would be choosing its way.
 */
static inline void copy_over(uint8_t *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i += ISGI_INT8_BEHIND) memcpy(dst + i, src + i, ISGI_INT8_BEHIND);
}

/* Gathered rows of taps x channels codes, and zeros up to whole groups of four; what lies outside the image is the code
 * of 0.0. */
static void gather_u8(const int8_job *j, uint8_t *dst, uint64_t first, uint32_t count)
{
    const isgi_conv *c = j->c;
    const isgi_window *g = &c->window;
    const uint32_t plane = c->oh * c->ow, run = g->dw == 1 ? g->kw : 1; /* taps side by side */
    const size_t channels = c->ic, line = j->q->line * channels, row = 4 * (size_t)j->q->k4, behind = row - j->q->k;
    const uint8_t *x = j->base + j->q->x + (size_t)(first / plane) * c->ih * line, *pad = j->base + j->q->pad;
    uint32_t oy = (uint32_t)(first % plane) / c->ow, ox = (uint32_t)(first % plane) % c->ow;
    for (uint32_t p = 0; p < count; p++, dst += row) {
        uint8_t *at = dst;
        for (uint32_t ky = 0; ky < g->kh; ky++) {
            const int64_t iy = (int64_t)oy * g->sh - g->top + (int64_t)ky * g->dh;
            const uint8_t *from = iy < 0 || iy >= c->ih ? pad : x + (size_t)iy * line;
            from += (size_t)ox * g->sw * channels;
            for (uint32_t kx = 0; kx < g->kw; kx += run, at += run * channels)
                copy_over(at, from + (size_t)kx * g->dw * channels, run * channels);
        }
        for (size_t i = 0; i < 3; i++) at[i] = i < behind ? 0 : at[i];
        if (++ox == c->ow) {
            ox = 0;
            if (++oy == c->oh) {
                oy = 0;
                x += c->ih * line;
            }
        }
    }
}

/* What `count` output pixels of a 1x1 kernel read, in `dst` unless it is there. */
static const uint8_t *quantise_read(const int8_job *j, uint8_t *dst, uint64_t first, uint32_t count)
{
    uint8_t *to = dst;
    const isgi_conv *c = j->c;
    const isgi_window *g = &c->window;
    const uint32_t plane = c->oh * c->ow;
    if (c->direct && j->q->takes) return given_codes(j, first);
    if (c->direct) quantise_pixels(j, dst, first, count);
    for (uint64_t p = first; !c->direct && p < first + count; p++, to += j->q->x_step) {
        const uint32_t oy = (uint32_t)(p % plane) / c->ow, ox = (uint32_t)(p % plane) % c->ow;
        const uint64_t row = p / plane * c->ih + (uint64_t)oy * g->sh;
        quantise_pixels(j, to, row * c->iw + (uint64_t)ox * g->sw, 1);
    }
    return dst;
}

/* DENSE and CHAIN: some output pixels, to `out`. */
static void run_pixels(const int8_job *j, float *out, uint64_t first, uint32_t count, uint32_t worker)
{
    const isgi_int8 *q = j->q;
    const isgi_conv *c = j->c;
    uint8_t *part = worker_part(j, worker), *sums = part + q->at_sums, *gathered = part + q->at_input;
    const uint8_t *a = gathered;
    int32_t *tile = (int32_t *)(void *)(part + q->at_tile);
    const size_t lda = 4 * (size_t)q->k4;
    const uint32_t columns = q->form == ISGI_INT8_CHAIN ? j->w->bo : c->oc;
    const int8_factor f = factor_at(j, &j->w->basis, q->first, q->init_first, q->mul_first, columns, q->k4);
    if (q->pointwise)
        a = quantise_read(j, gathered, first, count);
    else
        gather_u8(j, gathered, first, count);
    memset(sums, 0, j->w->level2 ? (size_t)count * q->sum_step : 0);
    if (q->form == ISGI_INT8_DENSE) {
        product_out(j, out, first, a, lda, count, &f, tile);
    } else {
        const int8_factor v = factor_at(j, &j->w->v, q->second, q->init_second, q->mul_second, c->oc, q->sum_step / 4);
        product_u8(&j->ctx->kernels, sums, q->sum_step, a, lda, count, &f, tile);
        product_out(j, out, first, sums, q->sum_step, count, &v, tile);
    }
}

static void pixels_task(void *arg, uint32_t index, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const uint64_t total = (uint64_t)j->c->batch * j->c->oh * j->c->ow, first = (uint64_t)index * j->q->pixels;
    const uint64_t left = total - first;
    run_pixels(j, output_at(j, first), first, left < j->q->pixels ? (uint32_t)left : j->q->pixels, worker);
}

static void pixel_rows(const void *job, float *dst, uint32_t image, uint32_t y, uint32_t rows, uint32_t worker)
{
    const int8_job *j = (const int8_job *)job;
    const uint64_t first = ((uint64_t)image * j->c->oh + y) * j->c->ow;
    const uint32_t pixels = rows * j->c->ow;
    for (uint32_t p = 0; p < pixels; p += ISGI_INT8_PIXELS) {
        const uint32_t count = pixels - p < ISGI_INT8_PIXELS ? pixels - p : ISGI_INT8_PIXELS;
        run_pixels(j, dst + (size_t)p * j->c->oc, first + p, count, worker);
    }
}

/* ---- taps ---- */

/* Where the pixels of a strip are read: rows of q->line pixels of `pixel` bytes, `lists` channel groups `list` bytes
 * apart a tap. */
typedef struct int8_taps {
    const uint8_t *src;
    size_t pixel, list;
    uint32_t ring, lists; /* row r lies in place r modulo ring */
} int8_taps;

/* What each tap of output pixel (oy, ox) reads; the next pixel of its row reads window.sw pixels further. */
static void list_taps_u8(const int8_job *j, const int8_taps *g, uint32_t oy, uint32_t ox, const uint8_t **taps)
{
    const isgi_window *w = &j->c->window;
    const uint8_t *pad = j->base + j->q->pad;
    const uint8_t **const end = taps + 4 * (size_t)j->q->groups;
    for (uint32_t ky = 0; ky < w->kh; ky++) {
        const int64_t iy = (int64_t)oy * w->sh - w->top + (int64_t)ky * w->dh;
        const int in = iy >= 0 && iy < j->c->ih;
        const uint8_t *line = in ? g->src + (size_t)(iy % g->ring) * j->q->line * g->pixel : pad;
        for (uint32_t kx = 0; kx < w->kw; kx++) {
            const uint8_t *at = line + ((size_t)ox * w->sw + (size_t)kx * w->dw) * g->pixel;
            for (uint32_t i = 0; i < g->lists; i++) *taps++ = at + i * g->list;
        }
    }
    while (taps < end) *taps++ = pad;
}

/* Sums over the taps of `count` output pixels of one image from row y, column x on. */
static void sum_taps_u8(const int8_job *j, const int8_taps *g, uint32_t y, uint32_t x, uint32_t count,
                        uint32_t channels, int32_t *tile, const uint8_t **taps)
{
    const isgi_conv *c = j->c;
    const size_t step = c->window.sw * g->pixel, apart = isgi_int8_tile_step(channels);
    const isgk_codes kind = j->q->paired ? pair_kind(&j->w->basis) : code_kind(&j->w->basis);
    const int8_t *weights = (const int8_t *)(j->base + j->q->basis);
    const int32_t *init = ints_at(j, j->q->init_basis);
    while (count) {
        const uint32_t run = c->ow - x < count ? c->ow - x : count;
        list_taps_u8(j, g, y, x, taps);
        if (j->q->paired)
            j->ctx->kernels.dwpairs_u8s8(tile, apart, taps, step, run, (size_t)j->w->taps * g->lists, weights,
                                         isgi_int8_pair_bytes(channels), channels, init, &kind);
        else
            j->ctx->kernels.dwconv_u8s8(tile, apart, taps, step, run, j->q->groups, weights, channels, init, &kind);
        tile += run * apart;
        count -= run;
        x = 0;
        y++;
    }
}

/* Output rows y0..y1-1 of one image, from codes that `g` describes. */
static void strip_of_taps(const int8_job *j, const int8_taps *g, uint32_t image, uint32_t y0, uint32_t y1,
                          uint8_t *part)
{
    const isgi_int8 *q = j->q;
    const isgi_conv *c = j->c;
    const uint8_t **taps = (const uint8_t **)(void *)(part + q->at_taps);
    int32_t *tile = (int32_t *)(void *)(part + q->at_tile);
    const uint32_t channels = q->form == ISGI_INT8_DEPTHWISE ? c->oc : j->w->bo, pixels = (y1 - y0) * c->ow;
    int8_factor v = {0};
    const float *mul = floats_at(j, q->mul_basis);
    if (j->w->level2) {
        v = factor_at(j, &j->w->v, q->second, q->init_second, q->mul_second, c->oc, q->sum_step / 4);
        memset(part + q->at_sums, 0, (size_t)ISGI_INT8_PIXELS * q->sum_step); /* what fills up a group */
    }
    for (uint32_t p = 0; p < pixels; p += ISGI_INT8_PIXELS) {
        const uint32_t count = pixels - p < ISGI_INT8_PIXELS ? pixels - p : ISGI_INT8_PIXELS;
        const uint64_t first = ((uint64_t)image * c->oh + y0) * c->ow + p;
        sum_taps_u8(j, g, y0 + p / c->ow, p % c->ow, count, channels, tile, taps);
        if (!j->w->level2) {
            finish_sums(j, output_at(j, first), first, tile, count, 0, c->oc, mul);
            continue;
        }
        j->ctx->kernels.requantise_u8(part + q->at_sums, q->sum_step, tile, isgi_int8_tile_step(channels), count,
                                      channels, mul, (float)INT8_MIDDLE);
        product_out(j, output_at(j, first), first, part + q->at_sums, q->sum_step, count, &v, tile);
    }
}

static void depthwise_u8_task(void *arg, uint32_t index, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const isgi_conv *c = j->c;
    const uint32_t strips = (c->oh + ISGI_INT8_ROWS - 1) / ISGI_INT8_ROWS, image = index / strips;
    const uint32_t y0 = index % strips * ISGI_INT8_ROWS;
    const uint32_t y1 = c->oh - y0 < ISGI_INT8_ROWS ? c->oh : y0 + ISGI_INT8_ROWS;
    const size_t plane = (size_t)c->ih * j->q->line * j->q->x_step;
    const int8_taps g = {j->base + j->q->x + image * plane, j->q->x_step, 0, c->ih, 1};
    strip_of_taps(j, &g, image, y0, y1, worker_part(j, worker));
}

/* Input rows from..to-1 of one image times U, as rows with padding in the ring `mid`. */
static void fill_mid(const int8_job *j, uint8_t *mid, uint32_t image, size_t from, size_t to, uint8_t *part)
{
    const isgi_int8 *q = j->q;
    const size_t iw = j->c->iw, bibo = (size_t)j->w->bi * j->w->bo, line = q->line * bibo, end = to * iw;
    const int8_factor u = factor_at(j, &j->w->u, q->first, q->init_first, q->mul_first, (uint32_t)bibo, q->k4);
    const uint64_t origin = (uint64_t)image * j->c->ih * iw;
    int32_t *tile = (int32_t *)(void *)(part + q->at_tile);
    for (size_t r = from; r < to; r++) pad_line(j, mid + r % q->ring * line, bibo, INT8_MIDDLE);
    for (size_t p = from * iw; p < end; p += ISGI_INT8_PIXELS) {
        const size_t count = end - p < ISGI_INT8_PIXELS ? end - p : ISGI_INT8_PIXELS;
        const uint8_t *x = q->takes ? given_codes(j, origin + p) : part + q->at_input;
        if (!q->takes) quantise_pixels(j, part + q->at_input, origin + p, count);
        for (size_t n = 0; n < bibo; n += ISGI_INT8_COLUMNS) {
            const size_t cols = bibo - n < ISGI_INT8_COLUMNS ? bibo - n : ISGI_INT8_COLUMNS;
            const size_t step = isgi_int8_tile_step(cols);
            j->ctx->kernels.gemm_u8s8(tile, step, x, q->x_step, u.codes + 4 * n, bibo, count, cols, u.k4, u.init + n,
                                      &u.kind);
            for (size_t done = 0, run; done < count; done += run) { /* a row of the image, or what is here of it */
                const size_t row = (p + done) / iw % q->ring, column = (p + done) % iw;
                run = iw - column < count - done ? iw - column : count - done;
                j->ctx->kernels.requantise_u8(mid + row * line + (q->left + column) * bibo + n, bibo,
                                              tile + done * step, step, run, cols, u.mul + n, (float)INT8_MIDDLE);
            }
        }
    }
}

/* Products with U of all rows of an image, where tasks share them. */
static uint8_t *shared_rows(const int8_job *j, uint32_t image)
{
    return j->base + j->q->map + (size_t)image * j->c->ih * j->q->line * j->w->bi * j->w->bo;
}

/* What only the tasks behind these need; then some rows of them. */
static void share_u8_task(void *arg, uint32_t task, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const uint32_t some = j->q->share, ih = j->c->ih, shares = (ih + some - 1) / some, index = task ? task - 1 : 0;
    const uint32_t image = index / shares, from = index % shares * some, to = ih - from < some ? ih : from + some;
    if (!task)
        start_second(j, worker);
    else
        fill_mid(j, shared_rows(j, image), image, from, to, worker_part(j, worker));
}

static void factored_u8_task(void *arg, uint32_t index, uint32_t worker)
{
    const int8_job *j = (const int8_job *)arg;
    const isgi_int8 *q = j->q;
    const isgi_conv *c = j->c;
    const isgi_window *w = &c->window;
    const uint32_t strips = (c->oh + q->rows - 1) / q->rows, image = index / strips, begin = index % strips * q->rows;
    const uint32_t end = c->oh - begin < q->rows ? c->oh : begin + q->rows, side = q->paired ? 2 : 1;
    uint8_t *part = worker_part(j, worker), *mid = q->share ? shared_rows(j, image) : part + q->at_mid;
    const int8_taps g = {mid, (size_t)j->w->bi * j->w->bo, (size_t)side * j->w->bo, q->ring, j->w->bi / side};
    int64_t filled = q->share ? c->ih : 0;
    for (uint32_t y = begin, next; y < end; y = next) {
        int64_t top = (int64_t)y * w->sh - w->top, bottom;
        next = end - y < q->group ? end : y + q->group;
        bottom = (int64_t)(next - 1) * w->sh - w->top + (int64_t)(w->kh - 1) * w->dh + 1;
        if (top < filled) top = filled;
        if (bottom > c->ih) bottom = c->ih;
        if (bottom > top) {
            fill_mid(j, mid, image, (size_t)top, (size_t)bottom, part);
            filled = bottom;
        }
        strip_of_taps(j, &g, image, y, next, part);
    }
}

void isgi_int8_run(const isg_rt_context *ctx, const isgi_step *step)
{
    const isgi_conv *c = &step->conv;
    const uint64_t out = (uint64_t)c->batch * c->oh * c->ow;
    isg_weight made;
    int8_job j;
    memset(&j, 0, sizeof j);
    j.ctx = ctx;
    j.step = step;
    j.q = &step->int8;
    j.c = c;
    j.factors = &ctx->weights[step->op.weight];
    j.w = isgi_int8_weight(j.q, j.factors, &made);
    j.base = (uint8_t *)(void *)ctx->scratch;
    j.after = isgi_conv_finish(ctx, step, NULL, &j.finish);
    prepare(&j);
    quantise_input(&j);
    if (j.q->share)
        isgi_run_tasks(ctx, share_u8_task, &j, 1 + (uint64_t)c->batch * ((c->ih + j.q->share - 1) / j.q->share));
    if (j.q->form == ISGI_INT8_FACTORED)
        isgi_run_tasks(ctx, factored_u8_task, &j, (uint64_t)c->batch * ((c->oh + j.q->rows - 1) / j.q->rows));
    else if (j.q->form == ISGI_INT8_DEPTHWISE)
        isgi_run_tasks(ctx, depthwise_u8_task, &j,
                       (uint64_t)c->batch * ((c->oh + ISGI_INT8_ROWS - 1) / ISGI_INT8_ROWS));
    else if (step->pooled.rows)
        isgi_pooled_run(ctx, step, pixel_rows, &j);
    else
        isgi_run_tasks(ctx, pixels_task, &j, (out + j.q->pixels - 1) / j.q->pixels);
}
