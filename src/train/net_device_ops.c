/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a network on a device, as products and kernels; net_factored.c and net_norm.c have the formulas. */
#include "train/net_device.h"

#include "base/error.h"
#include "host/alloc.h"
#include "train/device_kernels.h"
#include "train/net_impl.h"

#include <math.h>
#include <string.h>

/* Floats that partial sums of a product may take, rows that one of them covers at least, and how many there are. */
#define SUMS_FLOATS ((size_t)1 << 24)
#define SUMS_ROWS 256
#define SUMS_PARTS (2 * ISGI_FOLD)

static void want(isgi_devnet *d, int room, size_t floats)
{
    if (d->room_floats[room] < floats) d->room_floats[room] = floats;
}

static size_t groups_of(size_t n, size_t size)
{
    return (n + size - 1) / size;
}

static size_t blocks_of(size_t rows)
{
    return groups_of(rows, ISGI_SUM_ROWS);
}

static void launch(const isgi_net *net, uint32_t kernel, size_t n, const void *args)
{
    isgi_device *d = net->device->device;
    if (n) d->launch(d, kernel, n, args);
}

/* ---- products and sums ---- */

static void multiply(const isgi_net *net, int ta, int tb, size_t m, size_t n, size_t k, const float *a, const float *b,
                     int add, float *c)
{
    isgi_device *d = net->device->device;
    const isgi_product p = {a, b,           c,           (uint32_t)m,  (uint32_t)n,      (uint32_t)k,
                            1, (uint8_t)ta, (uint8_t)tb, (uint8_t)add, net->device->tf32};
    d->multiply(d, &p);
}

/* out[columns] = sum over the rows of from[rows][columns], which may be the sums room: that is used up. */
static void fold_rows(const isgi_net *net, const float *from, size_t rows, size_t columns, float *out)
{
    int room = ISGI_ROOM_FOLD;
    do {
        const size_t blocks = groups_of(rows, ISGI_FOLD);
        const isgi_fold f = {from, blocks == 1 ? out : net->device->room[room], (uint32_t)rows, (uint32_t)columns};
        launch(net, ISGI_KERNEL_fold, blocks * columns, &f);
        from = f.to;
        rows = blocks;
        room = room == ISGI_ROOM_FOLD ? ISGI_ROOM_SUMS : ISGI_ROOM_FOLD;
    } while (rows > 1);
}

/* Parts in which a sum over `rows` rows of an m x n product is made: a divisor of rows. */
static size_t sum_parts(size_t m, size_t n, size_t rows)
{
    size_t parts = rows / SUMS_ROWS < SUMS_PARTS ? rows / SUMS_ROWS : SUMS_PARTS;
    if (parts > SUMS_FLOATS / (m * n)) parts = SUMS_FLOATS / (m * n);
    while (parts > 1 && rows % parts) parts--;
    return parts > 1 ? parts : 1;
}

/* out[m][n] = a[rows][m] transposed times b[rows][n]: many rows and a small result, so parts of them at a time. */
static void multiply_rows(const isgi_net *net, size_t m, size_t n, size_t rows, const float *a, const float *b,
                          float *out)
{
    isgi_device *d = net->device->device;
    const size_t parts = sum_parts(m, n, rows);
    const isgi_product p = {.a = a,
                            .b = b,
                            .c = parts > 1 ? net->device->room[ISGI_ROOM_SUMS] : out,
                            .m = (uint32_t)m,
                            .n = (uint32_t)n,
                            .k = (uint32_t)(rows / parts),
                            .count = (uint32_t)parts,
                            .ta = 1,
                            .tf32 = net->device->tf32};
    d->multiply(d, &p);
    if (parts > 1) fold_rows(net, p.c, parts, m * n, out);
}

static void want_rows(isgi_devnet *d, size_t m, size_t n)
{
    const size_t most = m * n > SUMS_FLOATS ? 0 : SUMS_PARTS * m * n < SUMS_FLOATS ? SUMS_PARTS * m * n : SUMS_FLOATS;
    want(d, ISGI_ROOM_SUMS, most);
    want(d, ISGI_ROOM_FOLD, most ? groups_of(SUMS_PARTS, ISGI_FOLD) * m * n : 0);
}

/* For a sum over rows in blocks, whoever makes the first of them. */
static void want_columns(isgi_devnet *d, size_t rows, size_t columns)
{
    want(d, ISGI_ROOM_SUMS, blocks_of(rows) * columns);
    want(d, ISGI_ROOM_FOLD, blocks_of(rows) * columns);
}

static float *param_of(const isgi_net *net, int32_t param)
{
    return net->device->params + (net->param_list[param].w - net->params);
}

static float *gradient_of(const isgi_net *net, int32_t param)
{
    return net->device->grads + (net->param_list[param].w - net->params);
}

static void bias_forward(const isgi_net *net, const isgi_netop *op, size_t rows, size_t co)
{
    const isgi_add_bias a = {op->bias < 0 ? NULL : param_of(net, op->bias), isgi_devnet_data(net, op->out),
                             (uint32_t)co};
    if (op->bias >= 0) launch(net, ISGI_KERNEL_add_bias, rows * co, &a);
}

static void bias_backward(const isgi_net *net, const isgi_netop *op, size_t rows, size_t co)
{
    if (op->bias >= 0) fold_rows(net, isgi_devnet_grad(net, op->out), rows, co, gradient_of(net, op->bias));
}

/* ---- convolutions and fully connected layers ---- */

static isgi_taps taps_of(const isgi_devop *o)
{
    return (isgi_taps){o->source, o->reader, o->taps, o->in_pixels, o->out_pixels};
}

/* x as rows of taps * channels numbers, an output pixel each. */
static const float *gathered(const isgi_net *net, const isgi_netop *op, const isgi_devop *o, size_t channels)
{
    const isgi_gather_taps g = {isgi_devnet_data(net, op->in[0]), net->device->room[ISGI_ROOM_WIDE], taps_of(o),
                                (uint32_t)channels};
    if (o->straight) return g.x;
    launch(net, ISGI_KERNEL_gather_taps, (size_t)net->n * o->out_pixels * channels, &g);
    return g.to;
}

/* dx (+)= dy w^T for w[taps * ci][co], back through the taps. */
static void rows_data_gradient(const isgi_net *net, const isgi_netop *op, const isgi_devop *o, const float *dy,
                               const float *w, size_t ci, size_t co)
{
    const size_t rows = (size_t)net->n * o->out_pixels;
    float *dx = isgi_devnet_grad(net, op->in[0]);
    const isgi_scatter_taps s = {net->device->room[ISGI_ROOM_WIDE], dx, taps_of(o), (uint32_t)ci, op->accumulate[0]};
    if (!isgi_op_needs(net, op, 0)) return;
    if (o->straight) {
        multiply(net, 0, 1, rows, ci, co, dy, w, op->accumulate[0], dx);
        return;
    }
    multiply(net, 0, 1, rows, o->taps * ci, co, dy, w, 0, net->device->room[ISGI_ROOM_WIDE]);
    launch(net, ISGI_KERNEL_scatter_taps, (size_t)net->n * o->in_pixels * ci, &s);
}

static void dense_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const float *block = net->device->block + net->device->weight_at[op->weight][0];
    const size_t rows = (size_t)net->n * o->out_pixels;
    multiply(net, 0, 0, rows, w->co, (size_t)w->taps * w->ci, gathered(net, op, o, w->ci), block, 0,
             isgi_devnet_data(net, op->out));
    bias_forward(net, op, rows, w->co);
}

static void dense_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_netweight *w = &net->weights[op->weight];
    const size_t at = net->device->weight_at[op->weight][0], rows = (size_t)net->n * o->out_pixels;
    const float *dy = isgi_devnet_grad(net, op->out);
    multiply_rows(net, (size_t)w->taps * w->ci, w->co, rows, gathered(net, op, o, w->ci), dy, net->device->dblock + at);
    bias_backward(net, op, rows, w->co);
    rows_data_gradient(net, op, o, dy, net->device->block + at, w->ci, w->co);
}

static const float *factor(const isgi_net *net, const isgi_netop *op, int k)
{
    return net->device->block + net->device->weight_at[op->weight][k];
}

static float *factor_gradient(const isgi_net *net, const isgi_netop *op, int k)
{
    return net->device->dblock + net->device->weight_at[op->weight][k];
}

static isgi_middle middle_of(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isg_factors *f = &net->weights[op->weight].f;
    return (isgi_middle){.z = o->z,
                         .basis = factor(net, op, 0),
                         .taps = taps_of(o),
                         .bi = f->bi,
                         .bo = f->level2 ? f->bo : f->co,
                         .rows = net->n * o->out_pixels};
}

static void factored_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isg_factors *f = &net->weights[op->weight].f;
    const size_t rows = (size_t)net->n * o->out_pixels, bo = f->level2 ? f->bo : f->co;
    float *y = isgi_devnet_data(net, op->out), *d = f->level2 ? o->d : y;
    if (f->level1) {
        isgi_middle m = middle_of(net, op, o);
        m.out = d;
        multiply(net, 0, 0, (size_t)net->n * o->in_pixels, f->bi * bo, f->ci, isgi_devnet_data(net, op->in[0]),
                 factor(net, op, 1), 0, o->z);
        launch(net, ISGI_KERNEL_middle_forward, groups_of(rows, ISGI_MIDDLE_ROWS) * bo, &m);
    } else {
        multiply(net, 0, 0, rows, bo, f->ci, gathered(net, op, o, f->ci), factor(net, op, 0), 0, d);
    }
    if (f->level2) multiply(net, 0, 0, rows, f->co, bo, d, factor(net, op, 2), 0, y);
    bias_forward(net, op, rows, f->co);
}

static void level1_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o, const float *dd)
{
    const isg_factors *f = &net->weights[op->weight].f;
    isgi_middle m = middle_of(net, op, o);
    const size_t width = (size_t)m.bi * m.bo, in_rows = (size_t)net->n * o->in_pixels;
    float *dz = net->device->room[ISGI_ROOM_WIDE];
    m.dd = dd;
    m.out = net->device->room[ISGI_ROOM_SUMS];
    launch(net, ISGI_KERNEL_middle_basis, blocks_of(m.rows) * groups_of(o->taps, ISGI_MIDDLE_TAPS) * width, &m);
    fold_rows(net, m.out, blocks_of(m.rows), o->taps * width, factor_gradient(net, op, 0));
    m.out = dz;
    m.rows = (uint32_t)in_rows;
    launch(net, ISGI_KERNEL_middle_data, groups_of(in_rows, ISGI_MIDDLE_ROWS) * width, &m);
    multiply_rows(net, f->ci, width, in_rows, isgi_devnet_data(net, op->in[0]), dz, factor_gradient(net, op, 1));
    if (isgi_op_needs(net, op, 0)) {
        multiply(net, 0, 1, in_rows, f->ci, width, dz, factor(net, op, 1), op->accumulate[0],
                 isgi_devnet_grad(net, op->in[0]));
    }
}

static void factored_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isg_factors *f = &net->weights[op->weight].f;
    const size_t rows = (size_t)net->n * o->out_pixels, bo = f->level2 ? f->bo : f->co;
    const float *dy = isgi_devnet_grad(net, op->out), *dd = dy;
    bias_backward(net, op, rows, f->co);
    if (f->level2) {
        multiply_rows(net, bo, f->co, rows, o->d, dy, factor_gradient(net, op, 2));
        multiply(net, 0, 1, rows, bo, f->co, dy, factor(net, op, 2), 0, net->device->room[ISGI_ROOM_MIDDLE]);
        dd = net->device->room[ISGI_ROOM_MIDDLE];
    }
    if (f->level1) {
        level1_backward(net, op, o, dd);
        return;
    }
    multiply_rows(net, f->ci, bo, rows, gathered(net, op, o, f->ci), dd, factor_gradient(net, op, 0));
    rows_data_gradient(net, op, o, dd, factor(net, op, 0), f->ci, bo);
}

static isg_status upload_list(isgi_net *net, void **out, const void *from, size_t bytes, isg_error *err)
{
    isgi_device *d = net->device->device;
    ISGI_TRY(isgi_devnet_allocate(net->device, out, bytes + 1, err));
    return d->upload(d, *out, from, bytes, err);
}

static isg_status make_taps(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err)
{
    const size_t source = (size_t)o->out_pixels * o->taps, reader = (size_t)o->in_pixels * o->taps;
    int32_t *list = isgi_malloc((source + reader + 1) * sizeof *list);
    isg_status status;
    void *to = NULL;
    if (!list) return isgi_nomem(err);
    isgi_conv_taps(net, op, list, list + source);
    o->straight = o->taps == 1 && o->in_pixels == o->out_pixels;
    for (size_t i = 0; o->straight && i < source; i++) o->straight = list[i] == (int32_t)i;
    status = upload_list(net, &to, list, (source + reader) * sizeof *list, err);
    isg_free(list);
    o->source = to;
    o->reader = o->source + source;
    return status;
}

static isg_status create_factored(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err)
{
    isgi_devnet *d = net->device;
    const isg_factors *f = &net->weights[op->weight].f;
    const size_t in = (size_t)net->batch * o->in_pixels, out = (size_t)net->batch * o->out_pixels;
    const size_t bo = f->level2 ? f->bo : f->co, width = f->level1 ? f->bi * bo : bo;
    void *to = NULL;
    if (f->level1 && (in * width > INT32_MAX || blocks_of(out) * o->taps * width > INT32_MAX)) {
        return isgi_fail(err, ISG_E_LIMIT, "training: a factored convolution of more than 2^31 numbers on a device");
    }
    want(d, ISGI_ROOM_WIDE, f->level1 ? in * width : o->straight ? 0 : out * f->ci);
    want(d, ISGI_ROOM_MIDDLE, out * bo);
    if (f->level1) ISGI_TRY(isgi_devnet_allocate(d, &to, in * width * sizeof(float), err));
    o->z = to;
    if (f->level2) ISGI_TRY(isgi_devnet_allocate(d, &to, out * bo * sizeof(float), err));
    o->d = to;
    if (!net->trainable) return ISG_OK;
    if (f->level1) want_columns(d, out, o->taps * width);
    want_rows(d, f->ci, width);
    if (f->level2) want_rows(d, bo, f->co);
    return ISG_OK;
}

static isg_status create_weighted(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err)
{
    isgi_devnet *d = net->device;
    const isgi_netweight *w = &net->weights[op->weight];
    const isgi_act *x = &net->acts[op->in[0]], *y = &net->acts[op->out];
    const int conv = op->op == ISG_OP_CONV;
    o->taps = w->taps;
    o->in_pixels = conv ? (uint32_t)(x->size / w->ci) : 1;
    o->out_pixels = conv ? (uint32_t)(y->size / w->co) : 1;
    o->straight = !conv;
    if ((uint64_t)net->batch * o->out_pixels * w->taps * w->ci > INT32_MAX) {
        return isgi_fail(err, ISG_E_LIMIT, "training: a convolution of more than 2^31 numbers on a device");
    }
    if (conv) ISGI_TRY(make_taps(net, op, o, err));
    if (op->bias >= 0 && net->trainable) want_columns(d, (size_t)net->batch * o->out_pixels, w->co);
    if (w->direct) return create_factored(net, op, o, err);
    if (!o->straight) want(d, ISGI_ROOM_WIDE, (size_t)net->batch * o->out_pixels * w->taps * w->ci);
    if (net->trainable) want_rows(d, (size_t)w->taps * w->ci, w->co);
    return ISG_OK;
}

/* ---- batch normalisation ---- */

/* Of sums of s and q, which lie in the sums room; returns where they end up. */
static const double *fold_norm(const isgi_net *net, size_t rows, size_t channels)
{
    double *from = (double *)(void *)net->device->room[ISGI_ROOM_SUMS];
    double *other = (double *)(void *)net->device->room[ISGI_ROOM_FOLD];
    while (rows > 1) {
        const size_t blocks = groups_of(rows, ISGI_FOLD);
        const isgi_norm_fold f = {from, other, (uint32_t)rows, (uint32_t)(2 * channels)};
        launch(net, ISGI_KERNEL_norm_fold, blocks * 2 * channels, &f);
        other = from;
        from = f.to;
        rows = blocks;
    }
    return from;
}

static const double *norm_sums(const isgi_net *net, const isgi_netop *op, const isgi_devop *o, const float *dy)
{
    const isgi_norm *b = op->impl;
    const size_t ch = b->channels, rows = b->rows * net->n;
    const isgi_norm_sums s = {.x = isgi_devnet_data(net, op->in[0]),
                              .dy = dy,
                              .pivot = dy ? o->norm : net->device->running + b->running,
                              .mul = o->norm + 2 * ch,
                              .add = o->norm + 3 * ch,
                              .sums = (double *)(void *)net->device->room[ISGI_ROOM_SUMS],
                              .rows = (uint32_t)rows,
                              .channels = (uint32_t)ch,
                              .relu = op->relu};
    launch(net, ISGI_KERNEL_norm_sums, blocks_of(rows) * ch, &s);
    return fold_norm(net, blocks_of(rows), ch);
}

static void norm_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_norm *b = op->impl;
    const size_t ch = b->channels, rows = b->rows * net->n;
    const isgi_norm_combine c = {.sums = net->training ? norm_sums(net, op, o, NULL) : NULL,
                                 .gamma = param_of(net, b->gamma),
                                 .beta = param_of(net, b->beta),
                                 .running_mean = net->device->running + b->running,
                                 .running_var = net->device->running + b->running + ch,
                                 .mean = o->norm,
                                 .istd = o->norm + ch,
                                 .mul = o->norm + 2 * ch,
                                 .add = o->norm + 3 * ch,
                                 .count = (double)rows,
                                 .eps = b->eps,
                                 .momentum = ISGI_NORM_MOMENTUM,
                                 .channels = (uint32_t)ch};
    const isgi_norm_apply a = {isgi_devnet_data(net, op->in[0]), c.mul,        c.add,
                               isgi_devnet_data(net, op->out),   (uint32_t)ch, op->relu};
    launch(net, ISGI_KERNEL_norm_combine, ch, &c);
    launch(net, ISGI_KERNEL_norm_apply, rows * ch, &a);
}

static void norm_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_norm *b = op->impl;
    const size_t ch = b->channels, rows = b->rows * net->n;
    const float *dy = isgi_devnet_grad(net, op->out);
    const isgi_norm_slopes s = {.sums = norm_sums(net, op, o, dy),
                                .mul = o->norm + 2 * ch,
                                .istd = o->norm + ch,
                                .dgamma = gradient_of(net, b->gamma),
                                .dbeta = gradient_of(net, b->beta),
                                .k0 = o->norm + 4 * ch,
                                .k1 = o->norm + 5 * ch,
                                .count = (double)rows,
                                .channels = (uint32_t)ch};
    launch(net, ISGI_KERNEL_norm_slopes, ch, &s);
    if (isgi_op_needs(net, op, 0)) {
        const isgi_norm_gradient g = {.x = isgi_devnet_data(net, op->in[0]),
                                      .dy = dy,
                                      .mul = s.mul,
                                      .add = o->norm + 3 * ch,
                                      .mean = o->norm,
                                      .k0 = s.k0,
                                      .k1 = s.k1,
                                      .dx = isgi_devnet_grad(net, op->in[0]),
                                      .channels = (uint32_t)ch,
                                      .relu = op->relu,
                                      .accumulate = op->accumulate[0]};
        launch(net, ISGI_KERNEL_norm_gradient, rows * ch, &g);
    }
}

static isg_status create_norm(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err)
{
    const isgi_norm *b = op->impl;
    void *to = NULL;
    ISGI_TRY(isgi_devnet_allocate(net->device, &to, 6 * b->channels * sizeof(float), err));
    o->norm = to;
    want_columns(net->device, b->rows * net->batch, 4 * b->channels); /* two sums in binary64 */
    return ISG_OK;
}

/* ---- sums, activation functions, moves ---- */

static void sum_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const size_t n = net->acts[op->out].size * net->n;
    isgi_sum_two s = {isgi_devnet_data(net, op->in[0]), NULL, isgi_devnet_data(net, op->out), op->relu};
    (void)o;
    if (op->in_count > 1) s.b = isgi_devnet_data(net, op->in[1]);
    launch(net, ISGI_KERNEL_sum_two, n, &s);
    for (int32_t k = 2; k < op->in_count; k++) {
        s.a = s.y;
        s.b = isgi_devnet_data(net, op->in[k]);
        launch(net, ISGI_KERNEL_sum_two, n, &s);
    }
}

static void sum_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    (void)o;
    for (int32_t k = 0; k < op->in_count; k++) {
        const isgi_pass_gradient p = {op->relu ? isgi_devnet_data(net, op->out) : NULL, isgi_devnet_grad(net, op->out),
                                      op->in[k] < 0 ? NULL : isgi_devnet_grad(net, op->in[k]), op->accumulate[k]};
        if (isgi_op_needs(net, op, k)) {
            launch(net, ISGI_KERNEL_pass_gradient, net->acts[op->out].size * net->n, &p);
        }
    }
}

static void activation_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_activate a = {
        .x = isgi_devnet_data(net, op->in[0]), .y = isgi_devnet_data(net, op->out), .f = isgi_activation_of(op)};
    (void)o;
    launch(net, ISGI_KERNEL_activate, net->acts[op->out].size * net->n, &a);
}

static void activation_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_activate a = {.x = isgi_devnet_data(net, op->in[0]),
                             .dy = isgi_devnet_grad(net, op->out),
                             .dx = isgi_devnet_grad(net, op->in[0]),
                             .f = isgi_activation_of(op),
                             .accumulate = op->accumulate[0]};
    (void)o;
    if (isgi_op_needs(net, op, 0)) launch(net, ISGI_KERNEL_activate_gradient, net->acts[op->out].size * net->n, &a);
}

/* ---- pooling ---- */

static int is_maximum(const isgi_netop *op)
{
    return op->op == ISG_OP_MAX_POOL || op->op == ISG_OP_GLOBAL_MAX_POOL;
}

static isgi_pooling pooling_of(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_pool *p = op->impl;
    return (isgi_pooling){.start = o->lists[0],
                          .list = o->lists[1],
                          .reader_start = o->lists[2],
                          .readers = o->lists[3],
                          .factor = o->factor,
                          .arg = o->arg,
                          .x = isgi_devnet_data(net, op->in[0]),
                          .y = isgi_devnet_data(net, op->out),
                          .in_positions = (uint32_t)(net->acts[op->in[0]].size / p->width),
                          .positions = (uint32_t)p->positions,
                          .width = (uint32_t)p->width,
                          .accumulate = op->accumulate[0]};
}

static void pool_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    const isgi_pooling p = pooling_of(net, op, o);
    launch(net, is_maximum(op) ? ISGI_KERNEL_pool_max : ISGI_KERNEL_pool_average, net->acts[op->out].size * net->n, &p);
}

static void pool_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    isgi_pooling p = pooling_of(net, op, o);
    if (!isgi_op_needs(net, op, 0)) return;
    p.dy = isgi_devnet_grad(net, op->out);
    p.dx = isgi_devnet_grad(net, op->in[0]);
    launch(net, is_maximum(op) ? ISGI_KERNEL_pool_max_gradient : ISGI_KERNEL_pool_average_gradient,
           net->acts[op->in[0]].size * net->n, &p);
}

/* Which outputs read an input position. */
static void invert_lists(const isgi_pool *p, size_t in_positions, uint32_t *start, uint32_t *readers)
{
    const size_t used = p->start[p->positions];
    memset(start, 0, (in_positions + 1) * sizeof *start);
    for (size_t k = 0; k < used; k++) start[p->list[k] + 1]++;
    for (size_t q = 0; q < in_positions; q++) start[q + 1] += start[q];
    for (uint32_t o = 0; o < p->positions; o++) {
        for (uint32_t k = p->start[o]; k < p->start[o + 1]; k++) readers[start[p->list[k]]++] = o;
    }
    memmove(start + 1, start, in_positions * sizeof *start);
    start[0] = 0;
}

static isg_status create_pool(isgi_net *net, const isgi_netop *op, isgi_devop *o, isg_error *err)
{
    const isgi_pool *p = op->impl;
    const size_t in = net->acts[op->in[0]].size / p->width, used = p->start[p->positions];
    uint32_t *inverse = isgi_malloc((in + 1 + used) * sizeof *inverse);
    const void *from[4] = {p->start, p->list, inverse, inverse + in + 1};
    const size_t count[4] = {p->positions + 1, used, in + 1, used};
    isg_status status = ISG_OK;
    void *to = NULL;
    if (!inverse) return isgi_nomem(err);
    invert_lists(p, in, inverse, inverse + in + 1);
    for (int k = 0; status == ISG_OK && k < 4; k++) {
        status = upload_list(net, &to, from[k], count[k] * sizeof *inverse, err);
        o->lists[k] = to;
    }
    isg_free(inverse);
    if (status == ISG_OK && !is_maximum(op)) {
        status = upload_list(net, &to, p->factor, p->positions * sizeof *p->factor, err);
        o->factor = to;
    }
    if (status == ISG_OK && is_maximum(op)) {
        status = isgi_devnet_allocate(net->device, &to, net->acts[op->out].size * net->batch * sizeof *o->arg, err);
        o->arg = to;
    }
    return status;
}

/* ---- all of them ---- */

/* Factored or dense is a matter of the weight, and known only when the network is bound. */
static void weighted_forward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    (net->weights[op->weight].direct ? factored_forward : dense_forward)(net, op, o);
}

static void weighted_backward(const isgi_net *net, const isgi_netop *op, const isgi_devop *o)
{
    (net->weights[op->weight].direct ? factored_backward : dense_backward)(net, op, o);
}

static int fits_weighted(const isgi_net *net, const isgi_netop *op)
{
    if (op->op == ISG_OP_CONV && (op->attr.conv.groups > 1 || net->acts[op->in[0]].rank > 4)) return 0;
    return !net->trainable || net->weights[op->weight].uses == 1;
}

static int fits_move(const isgi_net *net, const isgi_netop *op)
{
    (void)net;
    return isgi_move_is_straight(op);
}

const isgi_devop_vt *isgi_devop_code(const isgi_net *net, const isgi_netop *op)
{
    static const isgi_devop_vt weighted = {fits_weighted, create_weighted, weighted_forward, weighted_backward},
                               norm = {NULL, create_norm, norm_forward, norm_backward},
                               pool = {NULL, create_pool, pool_forward, pool_backward},
                               activation = {NULL, NULL, activation_forward, activation_backward},
                               sum = {isgi_binary_is_plain, NULL, sum_forward, sum_backward},
                               move = {fits_move, NULL, sum_forward, sum_backward}; /* a sum of one */
    const isgi_devop_vt *vt = NULL;
    switch (op->op) {
    case ISG_OP_CONV:
    case ISG_OP_GEMM: vt = &weighted; break;
    case ISG_OP_BATCH_NORM: vt = &norm; break;
    case ISG_OP_ADD:
    case ISG_OP_SUM: vt = &sum; break;
    case ISG_OP_RELU:
    case ISG_OP_CLIP:
    case ISG_OP_LEAKY_RELU:
    case ISG_OP_HARD_SIGMOID:
    case ISG_OP_HARD_SWISH:
    case ISG_OP_SIGMOID: vt = &activation; break;
    case ISG_OP_MAX_POOL:
    case ISG_OP_GLOBAL_MAX_POOL:
    case ISG_OP_AVERAGE_POOL:
    case ISG_OP_GLOBAL_AVERAGE_POOL:
    case ISG_OP_REDUCE_MEAN: vt = &pool; break;
    case ISG_OP_RESHAPE:
    case ISG_OP_FLATTEN:
    case ISG_OP_SQUEEZE:
    case ISG_OP_UNSQUEEZE:
    case ISG_OP_IDENTITY:
    case ISG_OP_DROPOUT: vt = &move; break;
    default: break;
    }
    return vt && (!vt->fits || vt->fits(net, op)) ? vt : NULL;
}
