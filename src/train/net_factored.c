/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions with factored weights run as they are stored: U, basis (depthwise, summed over bi), V; no weight made.
 */
#include "train/net_impl.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/dnn.h"

#include <string.h>

/* Pixels that one matrix product covers at least, where the chunk has them: small products run slowly, large ones leave
 * the cache. */
#define TILE_PIXELS 1024
/* Pixels a call of the depthwise kernel. */
#define BLOCK_PIXELS 32

/* SPEC section 2 in another order of summation, x a pixel's channels:
 *   z[q] = x[q] . U;   d[p][o] = sum_t sum_i basis[t][i*bo + o] z[q(p,t)][i*bo + o];   y[p] = d[p] . V
 * Level 2 alone (taps 1): d = x . basis. Level 1 alone: y = d. A trainable network keeps z and d of
 * the whole batch for backward. */
typedef struct window {
    size_t in[2], out[2], kernel[2], stride[2], dilation[2], pad[2]; /* rows, columns; one row for a 1-d convolution */
} window;

typedef struct factored_impl {
    window window;
    uint32_t taps, bi, bo, ci, co, in_pixels, out_pixels, tile;
    uint8_t level1, level2, gather; /* gather: a 1x1 with a stride */
    float *kept;                    /* trainable: a chunk's z of all samples, then its d; else NULL */
    size_t z_size, d_size;          /* floats a sample */
    int32_t *source;                /* [out_pixels][taps]: input pixel, -1 in the padding */
    int32_t *reader;                /* [in_pixels][taps]: output pixel that reads it by this tap, or -1 */
    /* offsets in the spare memory of a chunk; z doubles as gathered x, dz as its dx; flipped: the basis, last tap first
     */
    size_t rows, zero, z, d, dd, dz, flipped;
    size_t part[3], part_bias, part_floats;
} factored_impl;

static void multiply(isgi_net *net, int ta, int tb, size_t m, size_t n, size_t k, const float *a, const float *b,
                     int add, float *c)
{
    const dnnl_status_t ok =
        isgi_dnn_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', (dnnl_dim_t)m, (dnnl_dim_t)n, (dnnl_dim_t)k, 1.0f, a,
                       (dnnl_dim_t)(ta ? m : k), b, (dnnl_dim_t)(tb ? k : n), add ? 1.0f : 0.0f, c, (dnnl_dim_t)n);
    if (ok != dnnl_success) atomic_store(&net->failed, 1);
}

/* ---- the depthwise middle ---- */

/* Row pointers of a block of pixels for the depthwise kernel: pixel p, tap t, then i. -1 reads the zero row. */
static void list_rows(const float **rows, const float *data, const float *zero, const int32_t *source, size_t count,
                      size_t bi, size_t bo)
{
    for (size_t k = 0; k < count; k++) {
        const float *at = source[k] < 0 ? zero : data + (size_t)source[k] * bi * bo;
        const size_t step = source[k] < 0 ? 0 : bo;
        for (size_t i = 0; i < bi; i++) *rows++ = at + i * step;
    }
}

/* Pointers to what the taps of a row read: row y * stride - before + ky * dilation of `data`, NULL outside. */
static void point_rows(const float **rows, const float *data, size_t row_floats, const window *w, size_t height,
                       size_t from, size_t before)
{
    for (size_t ky = 0; ky < w->kernel[0]; ky++) {
        const size_t y = from + ky * w->dilation[0] - before; /* wraps to a large number */
        rows[ky] = y < height ? data + y * row_floats : NULL;
    }
}

static void middle_forward(const isgi_net *net, const factored_impl *f, float *d, const float *z, const float *basis,
                           float *spare)
{
    const window *w = &f->window;
    const float **rows = (const float **)(void *)(spare + f->rows);
    const size_t bi = f->bi, bo = f->bo;
    const isgk_dwrow g = {rows,     basis,   bo, w->kernel[0], w->kernel[1],   bi,
                          w->in[1], bi * bo, bo, w->stride[1], w->dilation[1], w->pad[1]};
    for (size_t y = 0; y < w->out[0]; y++) {
        point_rows(rows, z, w->in[1] * bi * bo, w, w->in[0], y * w->stride[0], w->pad[0]);
        net->kernels.dwrow_f32(d + y * w->out[1] * bo, bo, &g, w->out[1], bo, NULL);
    }
}

/* The basis with its taps in reverse order, where every step is 1: then a gradient is such a sum as well. */
static const float *flip_basis(const factored_impl *f, const float *basis, float *spare)
{
    const window *w = &f->window;
    const size_t width = (size_t)f->bi * f->bo;
    for (int k = 0; k < 2; k++)
        if (w->stride[k] != 1 || w->pad[k] > (w->kernel[k] - 1) * w->dilation[k]) return NULL;
    for (size_t t = 0; t < f->taps; t++)
        memcpy(spare + f->flipped + t * width, basis + (f->taps - 1 - t) * width, width * sizeof *basis);
    return spare + f->flipped;
}

/* dz[q][i*bo + o] = sum over the outputs that read q of dd[p][o] basis[t][i*bo + o]; `flipped` is NULL or the basis so.
 */
static void middle_data_gradient(const isgi_net *net, const factored_impl *f, float *dz, const float *dd,
                                 const float *basis, const float *flipped, float *spare)
{
    const window *w = &f->window;
    const float **rows = (const float **)(void *)(spare + f->rows);
    const size_t bo = f->bo, width = (size_t)f->bi * bo, taps = f->taps;
    const size_t top = (w->kernel[0] - 1) * w->dilation[0] - w->pad[0];
    isgk_dwrow g = {rows,
                    flipped,
                    width,
                    w->kernel[0],
                    w->kernel[1],
                    1,
                    w->out[1],
                    bo,
                    0,
                    1,
                    w->dilation[1],
                    (w->kernel[1] - 1) * w->dilation[1] - w->pad[1]};
    for (size_t y = 0; flipped && y < w->in[0]; y++) {
        point_rows(rows, dd, w->out[1] * bo, w, w->out[0], y, top);
        for (size_t i = 0; i < f->bi; i++) {
            g.weights = flipped + i * bo;
            net->kernels.dwrow_f32(dz + y * w->in[1] * width + i * bo, width, &g, w->in[1], bo, NULL);
        }
    }
    if (flipped) return;
    for (size_t q = 0; q < f->in_pixels; q += BLOCK_PIXELS) {
        const size_t n = f->in_pixels - q < BLOCK_PIXELS ? f->in_pixels - q : BLOCK_PIXELS;
        list_rows(rows, dd, spare + f->zero, f->reader + q * taps, n * taps, 1, bo);
        for (size_t i = 0; i < f->bi; i++) {
            net->kernels.dwconv_f32(dz + q * width + i * bo, width, rows, n, taps, basis + i * bo, width, bo);
        }
    }
}

/* dbasis[t][i*bo + o] += sum_p dd[p][o] z[q(p,t)][i*bo + o], four pixels at a time so that dbasis is touched less. */
ISGI_CLONES
static void middle_basis_gradient(float *restrict dbasis, const float *restrict dd, const float *restrict z,
                                  const float *restrict zero, const int32_t *restrict source, const factored_impl *f)
{
    const size_t bi = f->bi, bo = f->bo, taps = f->taps, pixels = f->out_pixels;
    for (size_t p = 0; p < pixels; p += 4) {
        const float *restrict g[4];
        for (size_t k = 0; k < 4; k++) g[k] = p + k < pixels ? dd + (p + k) * bo : zero;
        for (size_t t = 0; t < taps; t++) {
            int32_t q[4];
            for (size_t k = 0; k < 4; k++) q[k] = p + k < pixels ? source[(p + k) * taps + t] : -1;
            for (size_t i = 0; i < bi; i++) {
                float *restrict to = dbasis + (t * bi + i) * bo;
                const float *restrict a[4];
                for (size_t k = 0; k < 4; k++) a[k] = q[k] < 0 ? zero : z + ((size_t)q[k] * bi + i) * bo;
                for (size_t o = 0; o < bo; o++) {
                    to[o] += g[0][o] * a[0][o] + g[1][o] * a[1][o] + g[2][o] * a[2][o] + g[3][o] * a[3][o];
                }
            }
        }
    }
}

/* ---- a tile of samples ---- */

static float *z_of(const isgi_net *net, const factored_impl *f, uint32_t chunk, uint32_t s)
{
    if (!f->kept) return isgi_net_spare(net, chunk) + f->z;
    return f->kept + chunk * net->chunk_cap * (f->z_size + f->d_size) + s * f->z_size;
}

static float *d_of(const isgi_net *net, const factored_impl *f, uint32_t chunk, uint32_t s)
{
    if (!f->kept) return isgi_net_spare(net, chunk) + f->d;
    return f->kept + (chunk * (f->z_size + f->d_size) + f->z_size) * net->chunk_cap + s * f->d_size;
}

/* From x to d (which is y where level 2 is off) for n samples. */
static void to_middle(isgi_net *net, const isgi_netop *op, uint32_t chunk, const float *x, uint32_t n, float *z,
                      float *d)
{
    const factored_impl *f = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    float *spare = isgi_net_spare(net, chunk);
    const size_t width = (size_t)f->bi * f->bo;
    if (f->level1) {
        multiply(net, 0, 0, (size_t)n * f->in_pixels, width, f->ci, x, w->q[1], 0, z);
        for (uint32_t s = 0; s < n; s++) {
            middle_forward(net, f, d + (size_t)s * f->out_pixels * f->bo, z + s * f->in_pixels * width, w->q[0], spare);
        }
        return;
    }
    for (uint32_t s = 0; f->gather && s < n; s++) {
        for (uint32_t p = 0; p < f->out_pixels; p++) {
            float *to = z + ((size_t)s * f->out_pixels + p) * f->ci;
            if (f->source[p] < 0) {
                memset(to, 0, f->ci * sizeof *to);
            } else {
                memcpy(to, x + ((size_t)s * f->in_pixels + (size_t)f->source[p]) * f->ci, f->ci * sizeof *to);
            }
        }
    }
    if (f->gather) x = z;
    multiply(net, 0, 0, (size_t)n * f->out_pixels, f->bo, f->ci, x, w->q[0], 0, d);
}

static void add_bias_rows(float *y, const float *bias, size_t rows, size_t co)
{
    for (size_t r = 0; r < rows; r++) {
        for (size_t o = 0; o < co; o++) y[r * co + o] += bias[o];
    }
}

static void factored_forward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const uint32_t count = isgi_chunk_count(net, chunk);
    const size_t in_size = (size_t)f->in_pixels * f->ci, out_size = (size_t)f->out_pixels * f->co;
    const float *x = isgi_act_data(net, op->in[0], chunk);
    float *y = isgi_act_data(net, op->out, chunk), *spare = isgi_net_spare(net, chunk);
    memset(spare + f->zero, 0, (size_t)f->bo * sizeof *spare);
    for (uint32_t s = 0; s < count; s += f->tile) {
        const uint32_t n = count - s < f->tile ? count - s : f->tile;
        const size_t rows = (size_t)n * f->out_pixels;
        float *ys = y + s * out_size, *d = f->level2 ? d_of(net, f, chunk, s) : ys;
        to_middle(net, op, chunk, x + s * in_size, n, z_of(net, f, chunk, s), d);
        if (f->level2) multiply(net, 0, 0, rows, f->co, f->bo, d, net->weights[op->weight].q[2], 0, ys);
        if (op->bias >= 0) add_bias_rows(ys, net->param_list[op->bias].w, rows, f->co);
    }
}

/* Sums dx of a 1x1 with a stride back to the pixels it was taken from; `fresh`: the others are 0. */
static void scatter_rows(const factored_impl *f, float *dx, const float *from, uint32_t n, int fresh)
{
    const size_t in_size = (size_t)f->in_pixels * f->ci;
    if (fresh) memset(dx, 0, n * in_size * sizeof *dx);
    for (uint32_t s = 0; s < n; s++) {
        for (uint32_t p = 0; p < f->out_pixels; p++) {
            const float *src = from + ((size_t)s * f->out_pixels + p) * f->ci;
            float *to = dx + s * in_size + (size_t)(f->source[p] < 0 ? 0 : f->source[p]) * f->ci;
            for (uint32_t c = 0; f->source[p] >= 0 && c < f->ci; c++) to[c] += src[c];
        }
    }
}

static void tile_backward(isgi_net *net, isgi_netop *op, uint32_t chunk, uint32_t s, uint32_t n)
{
    const factored_impl *f = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t in_rows = (size_t)n * f->in_pixels, rows = (size_t)n * f->out_pixels, width = (size_t)f->bi * f->bo;
    float *spare = isgi_net_spare(net, chunk), *partial = isgi_net_partial(net, chunk);
    const float *dy = isgi_act_grad(net, op->out, chunk) + (size_t)s * f->out_pixels * f->co, *dd = dy;
    const float *x = isgi_act_data(net, op->in[0], chunk) + (size_t)s * f->in_pixels * f->ci;
    const float *z = z_of(net, f, chunk, s), *d = d_of(net, f, chunk, s), *flipped;
    float *dx = NULL, *dz = spare + f->dz;
    if (isgi_op_needs(net, op, 0)) dx = isgi_act_grad(net, op->in[0], chunk) + (size_t)s * f->in_pixels * f->ci;
    if (f->level2) {
        multiply(net, 1, 0, f->bo, f->co, rows, d, dy, s > 0, partial + f->part[2]);
        multiply(net, 0, 1, rows, f->bo, f->co, dy, w->q[2], 0, spare + f->dd);
        dd = spare + f->dd;
    }
    if (!f->level1) {
        multiply(net, 1, 0, f->ci, f->bo, rows, f->gather ? z : x, dd, s > 0, partial + f->part[0]);
        if (dx)
            multiply(net, 0, 1, rows, f->ci, f->bo, dd, w->q[0], !f->gather && op->accumulate[0], f->gather ? dz : dx);
        if (dx && f->gather) scatter_rows(f, dx, dz, n, !op->accumulate[0]);
        return;
    }
    flipped = flip_basis(f, w->q[0], spare);
    for (uint32_t k = 0; k < n; k++) {
        const size_t at = k * f->in_pixels * width;
        const float *ddk = dd + (size_t)k * f->out_pixels * f->bo;
        middle_data_gradient(net, f, dz + at, ddk, w->q[0], flipped, spare);
        middle_basis_gradient(partial + f->part[0], ddk, z + at, spare + f->zero, f->source, f);
    }
    multiply(net, 1, 0, f->ci, width, in_rows, x, dz, s > 0, partial + f->part[1]);
    if (dx) multiply(net, 0, 1, in_rows, f->ci, width, dz, w->q[1], op->accumulate[0], dx);
}

static void factored_backward(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const uint32_t count = isgi_chunk_count(net, chunk);
    float *partial = isgi_net_partial(net, chunk), *spare = isgi_net_spare(net, chunk);
    if (count == 0) return;
    memset(partial, 0, f->part_floats * sizeof *partial);
    memset(spare + f->zero, 0, (size_t)f->bo * sizeof *spare);
    for (uint32_t s = 0; s < count; s += f->tile) {
        tile_backward(net, op, chunk, s, count - s < f->tile ? count - s : f->tile);
    }
    if (op->bias >= 0) {
        const float *dy = isgi_act_grad(net, op->out, chunk);
        for (size_t r = 0; r < (size_t)count * f->out_pixels; r++) {
            for (uint32_t o = 0; o < f->co; o++) partial[f->part_bias + o] += dy[r * f->co + o];
        }
    }
}

static void factored_reduce(isgi_net *net, isgi_netop *op, uint32_t chunk)
{
    const factored_impl *f = op->impl;
    const isgi_netweight *w = &net->weights[op->weight];
    const isg_factor *all[3] = {&w->f.basis, &w->f.u, &w->f.v};
    for (int k = 0; k < 3; k++) {
        size_t begin, end;
        if (w->master[k] < 0) continue;
        isgi_slice(net, (size_t)all[k]->rows * all[k]->cols, chunk, &begin, &end);
        isgi_reduce_partials(net, w->dq[k], f->part[k], begin, end);
    }
    if (chunk == 0 && op->bias >= 0) {
        const isgi_param *b = &net->param_list[op->bias];
        isgi_reduce_partials(net, b->g, f->part_bias, 0, b->count);
    }
}

static void factored_reduced(isgi_net *net, isgi_netop *op)
{
    (void)net;
    (void)op;
}

static void factored_destroy(isgi_netop *op)
{
    factored_impl *f = op->impl;
    if (f) isg_free(f->kept);
    if (f) isg_free(f->source);
    if (f) isg_free(f->reader);
    isg_free(f);
    op->impl = NULL;
}

static const isgi_opvt factored_vt = {.forward = {factored_forward, NULL},
                                      .backward = {factored_backward, factored_reduce},
                                      .backward_join = {NULL, factored_reduced},
                                      .destroy = factored_destroy};

/* ---- set-up ---- */

static uint64_t pixels_of(const isgi_act *a)
{
    return a->size / (uint64_t)a->dims[1];
}

int isgi_factored_fits(const isgi_net *net, const isgi_netop *op)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_factors *f = &w->f;
    const uint64_t in = pixels_of(x), out = pixels_of(y), width = (uint64_t)f->bi * f->bo;
    uint64_t made, factored;
    if (!w->factored || w->uses > 1 || f->depthwise || op->attr.conv.groups > 1 || x->rank > 4) return 0;
    if (net->execution == ISG_EXECUTION_GENERATE || (!f->level1 && (!f->level2 || f->taps > 1))) return 0;
    if (in > INT32_MAX || out > INT32_MAX || f->ci != (uint64_t)x->dims[1] || f->co != (uint64_t)y->dims[1]) return 0;
    if (net->execution == ISG_EXECUTION_FACTORED) return 1;
    made = out * f->taps * f->ci * f->co;
    factored = f->level1 ? in * f->ci * width + out * f->taps * width : out * f->ci * f->bo;
    if (f->level2) factored += out * f->bo * f->co;
    return factored < made;
}

static void set_window(const isgi_net *net, const isgi_netop *op, window *w)
{
    const isg_conv_attr *a = &op->attr.conv;
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const isg_value *v = &net->graph->values[net->weights[op->weight].value];
    const int n = x->rank - 2;
    for (int k = 0; k < 2; k++) {
        w->in[k] = w->out[k] = w->kernel[k] = w->stride[k] = w->dilation[k] = 1;
        w->pad[k] = 0;
    }
    for (int k = 0; k < n; k++) {
        const int to = k + 2 - n;
        w->in[to] = (size_t)x->dims[k + 2];
        w->out[to] = (size_t)y->dims[k + 2];
        w->kernel[to] = (size_t)v->dims[k + 2];
        w->stride[to] = a->stride[k] > 0 ? (size_t)a->stride[k] : 1;
        w->dilation[to] = a->dilation[k] > 0 ? (size_t)a->dilation[k] : 1;
        w->pad[to] = (size_t)a->pads[k];
    }
}

void isgi_conv_taps(const isgi_net *net, const isgi_netop *op, int32_t *source, int32_t *reader)
{
    const size_t taps = net->weights[op->weight].taps;
    window w;
    set_window(net, op, &w);
    for (size_t i = 0; i < w.in[0] * w.in[1] * taps; i++) reader[i] = -1;
    for (size_t i = 0; i < w.out[0] * w.out[1] * taps; i++) {
        const size_t p = i / taps, t = i % taps;
        /* what lies before the first row or column wraps to a large number */
        const size_t r = p / w.out[1] * w.stride[0] + t / w.kernel[1] * w.dilation[0] - w.pad[0];
        const size_t c = p % w.out[1] * w.stride[1] + t % w.kernel[1] * w.dilation[1] - w.pad[1];
        const int inside = r < w.in[0] && c < w.in[1];
        source[i] = inside ? (int32_t)(r * w.in[1] + c) : -1;
        if (inside) reader[(size_t)source[i] * taps + t] = (int32_t)p;
    }
}

static size_t take(size_t *at, size_t floats)
{
    const size_t here = *at;
    *at += (floats + 15) / 16 * 16;
    return here;
}

static void plan_factored_memory(isgi_net *net, const isgi_netop *op, factored_impl *f)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t in = (size_t)f->tile * f->in_pixels, out = (size_t)f->tile * f->out_pixels;
    const size_t z = f->level1 ? in * f->bi * f->bo : f->gather ? out * f->ci : 0;
    size_t at = 0;
    f->rows = take(&at, (size_t)BLOCK_PIXELS * f->taps * f->bi * sizeof(float *) / sizeof(float));
    f->zero = take(&at, f->bo);
    if (!f->kept) f->z = take(&at, z);
    if (!f->kept) f->d = take(&at, out * f->bo);
    if (net->trainable) {
        f->dd = take(&at, f->level2 ? out * f->bo : 0);
        f->dz = take(&at, z);
        f->flipped = take(&at, f->level1 ? (size_t)f->taps * f->bi * f->bo : 0);
    }
    isgi_net_want(net, 0, at);
    at = 0;
    f->part[0] = take(&at, (size_t)w->f.basis.rows * w->f.basis.cols);
    f->part[1] = take(&at, (size_t)w->f.u.rows * w->f.u.cols);
    f->part[2] = take(&at, (size_t)w->f.v.rows * w->f.v.cols);
    f->part_bias = take(&at, op->bias >= 0 ? f->co : 0);
    f->part_floats = at;
    if (net->trainable) isgi_net_want(net, at, 0);
}

isg_status isgi_build_factored(isgi_net *net, isgi_netop *op, isg_error *err)
{
    const isg_factors *w = &net->weights[op->weight].f;
    factored_impl *f = isgi_calloc(1, sizeof *f);
    if (!f) return isgi_nomem(err);
    op->impl = f;
    op->vt = &factored_vt;
    f->taps = w->taps;
    f->bi = w->level1 ? w->bi : 1;
    f->bo = w->level2 ? w->bo : w->co;
    f->ci = w->ci;
    f->co = w->co;
    f->level1 = w->level1;
    f->level2 = w->level2;
    f->in_pixels = (uint32_t)pixels_of(&net->acts[op->in[0]]);
    f->out_pixels = (uint32_t)pixels_of(&net->acts[op->out]);
    f->tile = TILE_PIXELS / f->in_pixels < 1 ? 1 : TILE_PIXELS / f->in_pixels;
    if (f->tile > net->chunk_cap) f->tile = net->chunk_cap;
    f->source = isgi_malloc((size_t)f->out_pixels * f->taps * sizeof *f->source);
    f->reader = isgi_malloc((size_t)f->in_pixels * f->taps * sizeof *f->reader);
    if (!f->source || !f->reader) return isgi_nomem(err);
    isgi_conv_taps(net, op, f->source, f->reader);
    set_window(net, op, &f->window);
    for (uint32_t p = 0; !f->level1 && p < f->out_pixels; p++) f->gather |= f->source[p] != (int32_t)p;
    if (f->in_pixels != f->out_pixels && !f->level1) f->gather = 1;
    f->z_size = f->level1 ? (size_t)f->in_pixels * f->bi * f->bo : f->gather ? (size_t)f->out_pixels * f->ci : 0;
    f->d_size = f->level2 ? (size_t)f->out_pixels * f->bo : 0;
    if (net->trainable) {
        f->kept = isgi_calloc((f->z_size + f->d_size) * net->chunk_cap * net->chunks + 1, sizeof *f->kept);
        if (!f->kept) return isgi_nomem(err);
    }
    plan_factored_memory(net, op, f);
    return ISG_OK;
}
