/* SPDX-License-Identifier: Apache-2.0 */
/* How a convolution is run: the cheapest of the three ways, its tiles and its scratch. */
#include "rt/exec.h"
#include "rt/int8_ops.h"
#include "rt/plan_cost.h"

#include <string.h>

#define TILE_FLOATS 65536u   /* of the weight matrix: half of a usual L2 */
#define TILE_ROWS 288u       /* 3 x 3 x 32 */
#define GATHER_FLOATS 49152u /* of gathered input pixels */
#define PANELS_ROWS 288u     /* deeper ones gain nothing: blocks of k are packed for all strips alike */
#define PANELS_FLOATS 49152u /* of gathered input pixels, beside the panels */
#define STRIP_STEP 24u       /* a multiple of every micro-kernel's height */
#define STRIP_MAX 192u
#define STREAM_PIXELS 64u     /* output pixels: so few wait for a large matrix more than they compute */
#define STREAM_MATRIX 131072u /* floats of a large one: more than a usual L2 */
#define STREAM_FLOATS 32768u  /* of the rows that are copied to panels at once */
#define COLUMNS_DEPTH 512u    /* rows of which blocks of columns are copied */
#define COLUMNS_FLOATS 32768u
#define STREAM_WIDTH 1024u  /* columns: products with fewer rows at once are too short */
#define STREAM_PARTS 4u     /* whatever the number of workers, so that it changes no bit */
#define LINES_COLUMNS 8u    /* fewer pixels in a row make short products */
#define LINES_FLOATS 12288u /* of input rows, padded */
#define PAIR_FLOATS 65536u  /* of the map between a 1x1 and a depthwise layer: smaller ones stay in the cache anyway */
#define WINOGRAD_TILES 16u  /* a task */
#define POOLED_LIST 4096u   /* pointers to what a row of a pool reads */
#define WINOGRAD_FEW 32u    /* so many read each weight once, */
#define WINOGRAD_KEPT 524288u  /* points of weights that may be kept: 2 MB */
#define WINOGRAD_MOST 4194304u /* and points of anything */
#define WINOGRAD_FLOATS 32768u /* and so many sums of a task stay in the cache */
#define GROUP_PIXELS 64u       /* fused way: output pixels whose sums and outputs stay in L1 */
#define SHARED_FLOATS 131072u  /* fused way: products with U of all maps that every worker reads */

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

static void set_geometry(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x,
                         const isgi_shape *out)
{
    const isgi_window *g = &c->window;
    memset(c, 0, sizeof *c);
    c->batch = x->dims[0];
    c->ic = x->dims[1];
    c->oc = out->dims[1];
    c->groups = op->kind == ISG_KIND_CONV ? op->groups : 1;
    c->ih = x->rank == 4 ? x->dims[2] : 1;
    c->iw = x->rank == 4 ? x->dims[3] : 1;
    c->oh = x->rank == 4 ? out->dims[2] : 1;
    c->ow = x->rank == 4 ? out->dims[3] : 1;
    c->window = op->window;
    if (op->kind == ISG_KIND_FC) c->window = (isgi_window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    c->taps = w->taps;
    c->depthwise = c->groups == c->ic && c->ic == c->oc && c->ic > 1;
    c->direct = c->taps == 1 && g->sh == 1 && g->sw == 1 && c->oh == c->ih && c->ow == c->iw && !g->top && !g->left &&
                c->groups == 1;
    c->in_place = (uint8_t)isgi_lies_ready(w);
    c->k = c->taps * (c->ic / c->groups);
}

/* For the way that was chosen. Workers do not count, so that they change no bit. */
static uint8_t fits_bf16(const isgi_conv *c, const isg_weight *w)
{
    if (isgi_fuses(c, w, c->strategy)) return c->ic <= ISGK_BF16_DEPTH && (!w->level2 || w->bo <= ISGK_BF16_DEPTH);
    return c->strategy != ISG_STRATEGY_HALF && c->groups == 1 && c->k <= ISGK_BF16_DEPTH &&
           (uint64_t)c->oh * c->ow >= ISGI_PANELS_PIXELS;
}

/* Whether the points of all tiles are kept because those of the weights would be a layer unpacked in memory. */
static int keeps_inputs(const isgi_conv *c)
{
    const uint64_t weights = ISGK_WINOGRAD_POINTS * (uint64_t)c->ic * c->oc;
    return weights > WINOGRAD_KEPT && isgi_winograd_all(c) < c->oc;
}

/* Whether what Winograd's algorithm keeps of a layer is little: of weights that are factors, all of W as well. */
static int winograd_fits(const isgi_conv *c, const isg_weight *w)
{
    const uint64_t all = isgi_winograd_all(c), points = ISGK_WINOGRAD_POINTS * (all < c->oc ? all : c->oc) * c->ic;
    return (!(w->level1 || w->level2) || (uint64_t)c->k * c->oc <= WINOGRAD_KEPT) && points <= WINOGRAD_MOST;
}

static void choose_way(isgi_conv *c, const isg_weight *w, const isgi_plan_for *f)
{
    static const uint8_t ways[] = {ISG_STRATEGY_GENERATE, ISG_STRATEGY_HALF, ISG_STRATEGY_FACTORED};
    const uint32_t batch = c->batch;
    const uint8_t whole =
        w->basis.family == ISG_QUANT_RAW && !w->level1 && !w->level2 ? ISG_STRATEGY_DENSE : ISG_STRATEGY_GENERATE;
    uint64_t least;
    /* A forced way that a layer does not have leaves it to the costs: those of one image, for bits are the batch's not.
     */
    c->batch = f->forced == ISG_STRATEGY_AUTO ? f->images : 1;
    c->strategy = whole;
    least = isgi_way_cost(c, w, c->strategy, f);
    for (size_t i = 0; i < sizeof ways && c->groups == 1 && !w->depthwise; i++) {
        const int possible = ways[i] == ISG_STRATEGY_HALF       ? w->level2
                             : ways[i] == ISG_STRATEGY_FACTORED ? w->level1
                                                                : w->level1 || w->level2;
        const uint64_t cost = possible ? isgi_way_cost(c, w, ways[i], f) : UINT64_MAX;
        if (possible && (ways[i] == f->forced || cost < least)) {
            c->strategy = ways[i];
            least = cost;
        }
        if (possible && ways[i] == f->forced) break;
    }
    /* in bfloat16 transformed weights and tiles would have to be rounded, and lose more by it */
    if (f->forced == ISG_STRATEGY_AUTO && !(f->mode == ISG_MODE_BF16 && fits_bf16(c, w)) && isgi_can_winograd(c) &&
        winograd_fits(c, w) && isgi_winograd_cost(c, w, f) < least) {
        c->winograd.tiles = 1; /* set_winograd_tiles() makes it more */
        c->strategy = whole;
    }
    c->batch = batch;
}

static void count_work(isgi_conv *c, const isg_weight *w, const isgi_plan_for *f)
{
    const int winograd = c->winograd.tiles > 0;
    c->cost = winograd ? isgi_winograd_cost(c, w, f) : isgi_way_cost(c, w, c->strategy, f);
    c->dense_cost = isgi_dense_cost(c, w, f);
    c->macs = winograd ? isgi_winograd_work(c, w).macs : isgi_work_of(c, w, c->strategy).macs;
    c->dense_macs = (uint64_t)c->batch * c->oh * c->ow * c->k * c->oc;
}

/* ---- tiles ---- */

/* Whether a fused layer has so few pixels that workers read less of each other's products, where each makes some
 * columns for all pixels, than of each other's unpacked factors, where each takes some pixels. */
static int shares_columns(const isgi_conv *c, const isg_weight *w, uint32_t lanes, uint32_t workers)
{
    const uint64_t mid = c->fused.mid, pixels = (uint64_t)c->batch * c->fused.ih * c->fused.iw;
    return workers > 1 && w->level2 && mid >= (uint64_t)lanes * workers && c->oc >= (uint64_t)ISGK_PANEL * workers &&
           pixels * (c->ic + mid) < mid * c->ic + (uint64_t)c->oc * w->bo;
}

static void set_fused_columns(isgi_conv *c, uint32_t lanes, uint32_t workers)
{
    isgi_fused *f = &c->fused;
    f->u_columns = (uint32_t)(ceil_div(ceil_div(f->mid, workers), lanes) * lanes);
    f->v_columns = (uint32_t)(ceil_div(ceil_div(c->oc, workers), ISGK_PANEL) * ISGK_PANEL);
    f->group = c->oh;
    f->ring = f->ih;
}

/* `reach`: input rows under a window; 0: an output pixel reads one pixel. */
static void set_fused_strips(isgi_conv *c, uint64_t reach, uint32_t workers)
{
    isgi_fused *f = &c->fused;
    f->strips = 1;
    if (c->batch >= workers) return;
    f->strips = (uint32_t)min_u64(ceil_div(workers, c->batch), c->oh);
    /* Strips repeat the rows that two of them need: not where that is a tenth of all. */
    if (reach && 10 * (f->strips - 1) * (reach - min_u64(reach, f->sh)) > f->ih &&
        (uint64_t)c->batch * f->ih * f->iw * f->mid <= SHARED_FLOATS) {
        f->two_pass = 1;
        f->ring = f->ih;
        f->strips = (uint32_t)min_u64(ceil_div(ISGI_SHARES * workers, c->batch), c->oh);
    }
}

static void set_fused_tiles(isgi_conv *c, const isg_weight *w, uint32_t lanes, uint32_t workers)
{
    isgi_fused *f = &c->fused;
    const isgi_window *g = &c->window;
    const int point = isgi_is_pointwise(c);
    const uint64_t reach = (uint64_t)(g->kh - 1) * g->dh + 1;
    uint64_t rows;
    f->on = 1;
    f->bases = w->level1 ? w->bi : 1;
    f->ih = point ? c->oh : c->ih;
    f->iw = point ? c->ow : c->iw;
    f->sh = point ? 1 : g->sh;
    f->sw = point ? 1 : g->sw;
    f->x_pixel = (size_t)c->ic * (point ? g->sw : 1);
    f->x_row = (size_t)c->ic * c->iw * (point ? g->sh : 1);
    /* Whole cache lines where they cost no vector more. */
    f->list = (w->bo + 15u) & ~15u;
    if (ceil_div((uint64_t)f->bases * w->bo, lanes) < (uint64_t)f->bases * f->list / lanes) f->list = w->bo;
    f->mid = f->bases * f->list;
    f->group = (uint32_t)min_u64(c->oh, ceil_div(GROUP_PIXELS, c->ow));
    rows = (uint64_t)(f->group - 1) * f->sh + reach;
    f->ring = (uint32_t)min_u64(rows, f->ih);
    if (shares_columns(c, w, lanes, workers))
        set_fused_columns(c, lanes, workers);
    else
        set_fused_strips(c, point ? 0 : reach, workers);
}

int isgi_fits_panels(const isgi_conv *c, uint32_t width)
{
    return c->groups == 1 && c->k <= PANELS_ROWS && (uint64_t)c->k * width <= TILE_FLOATS;
}

int isgi_reads_lines(const isgi_conv *c)
{
    return !c->direct && !c->bf16 && c->window.dw == 1 && c->ow >= LINES_COLUMNS;
}

/* Whether the whole matrix goes to panels first: strips then share one copy, and finish their pixels in registers. Not
 * where it would leave the cache, nor where channels are cut for the workers. */
static int wants_panels(const isgi_conv *c, uint64_t pixels, uint32_t workers)
{
    return c->strategy != ISG_STRATEGY_HALF && isgi_fits_panels(c, c->width) &&
           pixels >= (uint64_t)ISGI_PANELS_PIXELS * workers;
}

/* Output pixels a strip, `most` at the most where that is no less than the least: each worker gets as many strips. */
static uint32_t even_strip(uint64_t pixels, uint32_t most, uint32_t workers)
{
    const uint64_t strips = ceil_div(ceil_div(pixels, most), workers) * workers;
    const uint64_t even = ceil_div(ceil_div(pixels, strips), STRIP_STEP) * STRIP_STEP;
    if (most <= 2 * STRIP_STEP) return most;
    return even > 2 * STRIP_STEP ? (uint32_t)min_u64(even, most) : 2 * STRIP_STEP;
}

static void set_panel_tiles(isgi_conv *c, uint64_t pixels, uint32_t workers)
{
    c->panels = 1;
    c->blocks = 1;
    c->tile_rows = c->k;
    c->span = pixels;
    c->strip = PANELS_FLOATS / c->k / STRIP_STEP * STRIP_STEP;
    if (c->strip > STRIP_MAX) c->strip = STRIP_MAX;
    if (c->strip < STRIP_STEP) c->strip = STRIP_STEP;
    c->strip = even_strip(pixels, c->strip, workers);
}

/* Input rows that `rows` output rows read. */
static uint64_t rows_under(const isgi_conv *c, uint64_t rows)
{
    return (rows - 1) * c->window.sh + (uint64_t)(c->window.kh - 1) * c->window.dh + 1;
}

/* A window's taps side by side are a run of numbers in a row of pixels: such rows are padded once instead of gathered
 * for each pixel. Strips are whole output rows then. */
static void set_lines(isgi_conv *c, uint32_t workers)
{
    const isgi_window *g = &c->window;
    const uint64_t line = (uint64_t)g->left + c->iw, reach = (uint64_t)(c->ow - 1) * g->sw + g->kw;
    const uint64_t tasks = ceil_div(workers, c->batch);
    uint64_t rows = ceil_div(STRIP_MAX, c->ow);
    if (!isgi_reads_lines(c) || reach > UINT32_MAX || line > UINT32_MAX) return;
    if (g->top || g->left || g->bottom || g->right) c->line = (uint32_t)(line > reach ? line : reach);
    while (rows > 1 && rows_under(c, rows) * c->line * c->ic > LINES_FLOATS) rows--;
    if (rows > ceil_div(c->oh, tasks)) rows = ceil_div(c->oh, tasks);
    /* Not where most of the rows lie between those that are read. */
    if (rows_under(c, rows) * c->line > rows * c->ow * c->taps) return;
    c->lined = 1;
    c->strip = (uint32_t)rows * c->ow;
}

/* Rows so short of numbers to multiply that sums would be added to in memory more than a matrix is read. */
static int wants_columns(const isgi_conv *c, uint64_t pixels)
{
    return pixels > 1 && c->direct && c->k <= COLUMNS_DEPTH && c->width >= 2 * c->k;
}

/* Its parts are sums of their own: a forced way is the plain sum, which does not depend on the batch. `pixels`: those
 * of the images that ways are chosen for. */
static int wants_stream(const isgi_conv *c, uint64_t pixels, uint32_t forced)
{
    return forced == ISG_STRATEGY_AUTO && c->in_place && c->groups == 1 && c->strategy == ISG_STRATEGY_DENSE &&
           pixels <= STREAM_PIXELS && (c->width <= STREAM_WIDTH || wants_columns(c, pixels)) &&
           c->k >= STREAM_PARTS * 32 && (uint64_t)c->k * c->width >= STREAM_MATRIX;
}

static void set_stream_tiles(isgi_conv *c, uint64_t chosen_for, uint64_t pixels)
{
    const uint64_t rows = STREAM_FLOATS / c->width / 16 * 16;
    c->strip = (uint32_t)min_u64(pixels, STREAM_PIXELS);
    c->span = pixels;
    c->blocks = 1;
    if (wants_columns(c, chosen_for)) {
        c->columns = (uint32_t)(COLUMNS_FLOATS / c->k / ISGK_PANEL * ISGK_PANEL);
        c->tile_rows = c->k;
        c->parts = (uint32_t)ceil_div(c->width, c->columns);
        return;
    }
    c->tile_rows = (uint32_t)min_u64(rows, TILE_ROWS);
    c->part_rows = (uint32_t)(ceil_div(ceil_div(c->k, STREAM_PARTS), c->tile_rows) * c->tile_rows);
    c->parts = (uint32_t)ceil_div(c->k, c->part_rows);
}

static void set_matrix_tiles(isgi_conv *c, const isg_weight *w, const isgi_plan_for *f)
{
    const uint64_t pixels = (uint64_t)c->batch * c->oh * c->ow, chosen_for = (uint64_t)f->images * c->oh * c->ow;
    const uint32_t workers = f->workers;
    uint64_t rows, strips;
    c->width = c->strategy == ISG_STRATEGY_HALF ? w->bo : c->oc;
    if (c->bf16 || wants_panels(c, pixels, workers)) {
        set_panel_tiles(c, pixels, workers);
        set_lines(c, workers);
        return;
    }
    if (wants_stream(c, chosen_for, f->forced)) {
        set_stream_tiles(c, chosen_for, pixels);
        return;
    }
    rows = TILE_FLOATS / c->width;
    if (rows < 16) rows = 16;
    if (rows > TILE_ROWS) rows = TILE_ROWS;
    c->tile_rows = (uint32_t)min_u64(rows, c->k);
    c->strip = GATHER_FLOATS / c->tile_rows / STRIP_STEP * STRIP_STEP;
    if (c->strip > STRIP_MAX) c->strip = STRIP_MAX;
    if (c->strip < STRIP_STEP) c->strip = STRIP_STEP;
    c->span = pixels;
    if (c->strategy == ISG_STRATEGY_HALF) {
        c->span = ISGI_HALF_FLOATS / w->bo + 1;
        c->span = ceil_div(c->span, c->strip) * c->strip;
        if (c->span > pixels) c->span = pixels;
    }
    /* Enough tasks for everybody: strips where there are pixels enough, else blocks of channels. */
    if (c->groups > 1 || c->span >= 2ull * STRIP_STEP * workers) c->strip = even_strip(c->span, c->strip, workers);
    strips = ceil_div(c->span, c->strip);
    c->blocks = 1;
    if (strips < workers && c->groups == 1) {
        const uint64_t most = ceil_div(c->width, 64);
        c->blocks = (uint32_t)min_u64(ceil_div(workers, strips), most);
        if (c->blocks == 1 && c->span >= (uint64_t)STRIP_STEP * workers)
            c->strip = (uint32_t)ceil_div(c->span, workers); /* tiles of equal height need no step */
    }
}

/* Output rows side by side read the same rows of the input: a worker's lie together. */
static void set_depthwise_tiles(isgi_conv *c, uint32_t workers)
{
    const uint64_t rows = ceil_div((uint64_t)c->batch * c->oh, workers);
    c->strip = (uint32_t)min_u64(rows, c->oh) * c->ow;
}

/* Tiles enough for a product, and so few that they stay in the cache. Workers share the points of the inputs or those
 * of the weights, whichever are less: what crosses from core to core is slow. */
static void set_winograd_tiles(isgi_conv *c, uint32_t workers)
{
    const uint64_t all = isgi_winograd_all(c), share = ceil_div(c->oc, workers);
    const uint64_t one = all * ISGK_WINOGRAD_POINTS * ISGK_PANEL, strips = ceil_div(all, WINOGRAD_TILES);
    isgi_winograd_way *g = &c->winograd;
    g->tiles = (uint32_t)ceil_div(all, ceil_div(strips, workers) * workers);
    if ((all <= WINOGRAD_FEW && all < c->oc) || keeps_inputs(c)) {
        const uint64_t most = ISGK_PANEL * (one < WINOGRAD_FLOATS ? WINOGRAD_FLOATS / one : 1);
        g->tiles = (uint32_t)all;
        g->columns = share <= 16 ? 16 : (uint32_t)min_u64(ceil_div(share, ISGK_PANEL) * ISGK_PANEL, most);
    }
    c->width = c->oc;
    c->tile_rows = c->k;
    c->strip = ISGK_WINOGRAD_OUTPUTS * ISGK_WINOGRAD_OUTPUTS * g->tiles;
    c->blocks = 1;
    c->span = (uint64_t)c->batch * c->oh * c->ow;
}

static size_t place(uint64_t *at, uint64_t floats)
{
    const uint64_t offset = *at;
    *at += (floats + 15u) & ~(uint64_t)15u;
    return (size_t)offset;
}

static void finish_scratch(isgi_conv *c, uint64_t at, uint64_t part, uint32_t workers)
{
    c->worker = (size_t)at;
    c->worker_floats = (size_t)part;
    c->scratch = part > (uint64_t)1 << 40 ? UINT64_MAX : at + part * workers; /* workers are at most 1024 */
}

static uint64_t panel_floats(const isgi_conv *c, uint64_t columns, uint64_t k)
{
    return ceil_div(columns, ISGK_PANEL) * ISGK_PANEL * (c->bf16 ? (k + 1) / 2 : k);
}

static void set_fused_scratch(isgi_conv *c, const isg_weight *w, uint64_t at, uint32_t workers)
{
    const isgi_fused *f = &c->fused;
    const uint64_t pointer = sizeof(void *) / sizeof(float), map = (uint64_t)f->ih * f->iw * f->mid;
    uint64_t part = 0;
    if (w->level1) c->basis = place(&at, (uint64_t)c->taps * f->mid);
    c->u = place(&at, f->u_columns ? ceil_div(f->mid, f->u_columns) * panel_floats(c, f->u_columns, c->ic)
                                   : panel_floats(c, f->mid, c->ic));
    if (w->level2) c->v = place(&at, panel_floats(c, c->oc, w->bo));
    if (f->two_pass || f->u_columns) c->half = place(&at, map * c->batch);
    if (!f->two_pass && !f->u_columns) c->at_mid = place(&part, (uint64_t)f->ring * f->iw * f->mid);
    c->at_sums = place(&part, (uint64_t)(f->u_columns ? c->batch : 1) * f->group * c->ow * f->list);
    c->at_taps = place(&part, c->window.kh * pointer);
    finish_scratch(c, at, part, workers);
}

/* Room for all points of `floats` each; from point to point, each in another set of the cache than the one before. */
static size_t place_points(uint64_t *at, uint64_t floats)
{
    const uint64_t step = (floats + 31u) / 16u * 16u;
    (void)place(at, ISGK_WINOGRAD_POINTS * step);
    return (size_t)step;
}

static void set_winograd_scratch(isgi_conv *c, const isg_weight *w, uint64_t at, uint32_t workers)
{
    const uint64_t made = c->in_place || w->level1 || w->level2 ? 0 : 9 * (uint64_t)ISGI_WINOGRAD_BLOCK * ISGK_PANEL;
    isgi_winograd_way *g = &c->winograd;
    const uint64_t tiles = g->tiles;
    uint64_t part = 0;
    c->packed = (size_t)at;
    if (g->columns) {
        g->inputs_step = place_points(&at, tiles * c->ic);
        g->weights_step = place_points(&part, (uint64_t)ISGI_WINOGRAD_BLOCK * ISGK_PANEL);
        for (uint64_t n = 0; n < g->columns; n += ISGK_PANEL) g->outputs_step = place_points(&part, tiles * ISGK_PANEL);
    } else {
        g->weights_step = place_points(&at, (uint64_t)c->ic * ceil_div(c->oc, ISGK_PANEL) * ISGK_PANEL);
        g->inputs_step = place_points(&part, tiles * c->ic);
        g->outputs_step = place_points(&part, tiles * ISGK_PANEL);
    }
    if (made) g->at_made = place(&part, made);
    finish_scratch(c, at, part, workers);
}

static void set_scratch(isgi_conv *c, const isg_weight *w, const isg_weight *bias, uint32_t workers)
{
    uint64_t at = 0, part = 0;
    const uint64_t pointer = sizeof(void *) / sizeof(float);
    if (bias && !isgi_lies_ready(bias)) c->bias = place(&at, c->oc);
    if (c->fused.on) {
        set_fused_scratch(c, w, at, workers);
        return;
    }
    if (w->level1) c->basis = place(&at, (uint64_t)w->basis.rows * w->basis.cols);
    if (w->level1) c->u = place(&at, (uint64_t)w->u.rows * w->u.cols);
    if (w->level2) c->v = place(&at, (uint64_t)w->v.rows * w->v.cols);
    if (c->winograd.tiles) {
        if (w->level1 || w->level2) c->tile = place(&at, (uint64_t)c->k * c->oc);
        if (w->level2) c->rows_tmp = place(&at, (uint64_t)c->k * w->bo);
        set_winograd_scratch(c, w, at, workers);
        return;
    }
    if (c->depthwise) {
        if (!c->in_place) c->tile = place(&at, (uint64_t)c->taps * c->oc);
        if (w->level2) c->rows_tmp = place(&at, (uint64_t)c->taps * w->bo);
        c->at_taps = place(&part, c->window.kh * pointer);
    } else {
        if (!c->in_place) c->tile = place(&at, (uint64_t)c->tile_rows * c->width);
        if (c->strategy == ISG_STRATEGY_GENERATE && w->level2) c->rows_tmp = place(&at, (uint64_t)c->tile_rows * w->bo);
        if (c->strategy == ISG_STRATEGY_HALF) c->half = place(&at, c->span * w->bo);
        if (c->parts && !c->columns) c->half = place(&at, c->span * c->width * c->parts);
        if (c->parts) c->at_panels = place(&part, panel_floats(c, c->columns ? c->columns : c->width, c->tile_rows));
        if (c->panels) c->packed = place(&at, panel_floats(c, c->width, c->k));
        if (c->lined)
            c->at_gather = place(&part, rows_under(c, c->strip / c->ow) * c->line * c->ic);
        else if (!c->direct)
            c->at_gather = place(&part, (uint64_t)c->strip * c->tile_rows);
    }
    finish_scratch(c, at, part, workers);
}

/* Pieces of the main part, for reports. */
static uint32_t count_tasks(const isgi_conv *c)
{
    uint64_t n;
    if (c->fused.on)
        n = c->fused.u_columns ? ceil_div(c->oc, c->fused.v_columns) : (uint64_t)c->batch * c->fused.strips;
    else if (c->winograd.tiles)
        n = c->winograd.columns ? ceil_div(c->oc, c->winograd.columns)
                                : ceil_div(isgi_winograd_all(c), c->winograd.tiles);
    else if (c->depthwise || c->lined)
        n = (uint64_t)c->batch * ceil_div(c->oh, c->strip / c->ow);
    else if (c->parts)
        n = c->parts * ceil_div(c->span, c->strip);
    else
        n = ceil_div(c->span, c->strip) * c->blocks;
    return (uint32_t)min_u64(n, UINT32_MAX);
}

/* Strips repeat the rows between that two of them need, at most a fifth of all; and their rings take less memory than
 * the map. */
int isgi_can_pair(const isgi_conv *a, const isgi_conv *b, uint32_t workers)
{
    const uint64_t row = (uint64_t)a->ow * a->oc, reach = (uint64_t)(b->window.kh - 1) * b->window.dh + 1;
    const uint64_t repeated = (ceil_div(workers, b->batch) - 1) * (reach - min_u64(reach, b->window.sh));
    return a->panels && a->direct && !a->bf16 && b->depthwise && row * a->oh >= PAIR_FLOATS &&
           reach * row <= SHARED_FLOATS && 5 * repeated <= b->ih && 2 * workers * reach <= (uint64_t)b->batch * b->ih;
}

void isgi_pair_plan(const isgi_conv *a, isgi_conv *b, uint32_t workers)
{
    const uint64_t strips = min_u64(ceil_div(workers, b->batch), b->oh), rows = ceil_div(b->oh, strips);
    const uint64_t reach = (uint64_t)(b->window.kh - 1) * b->window.dh + 1;
    uint64_t at = a->scratch, part = b->worker_floats;
    const size_t base = place(&at, 0);
    b->bias += base;
    b->basis += base;
    b->u += base;
    b->v += base;
    b->tile += base;
    b->rows_tmp += base;
    b->group = (uint32_t)min_u64(rows, ceil_div(STRIP_MAX, (uint64_t)b->window.sh * b->iw));
    b->ring = (uint32_t)min_u64((uint64_t)(b->group - 1) * b->window.sh + reach, b->ih);
    b->at_mid = place(&part, (uint64_t)b->ring * b->iw * b->ic);
    b->strip = (uint32_t)rows * b->ow;
    b->tasks = (uint32_t)(b->batch * ceil_div(b->oh, rows));
    finish_scratch(b, base + b->worker, part, workers);
}

/* The least strips an image with which every worker has as many, for `batch` images. */
static uint32_t fair_strips(uint32_t workers, uint32_t batch)
{
    uint32_t a = workers, b = batch;
    while (b) {
        const uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return workers / a;
}

/* As for pairs. Strips begin with a whole band. */
int isgi_pooled_plan(isgi_step *s, const isgi_op *pool, const isgi_shape *out, uint32_t workers)
{
    const isgi_conv *c = &s->conv;
    const isgi_window *w = &pool->window;
    const uint64_t row = (uint64_t)c->ow * c->oc, reach = (uint64_t)(w->kh - 1) * w->dh + 1;
    const uint64_t rows = s->int8.on ? ceil_div(STRIP_MAX, c->ow) : c->strip / c->ow;
    const uint64_t bands = rows ? ceil_div(reach - 1, rows) + 1 : 0, kept = bands * rows;
    const uint64_t strips = min_u64(fair_strips(workers, c->batch), out->dims[2]);
    const uint64_t list = (uint64_t)w->kh * w->kw * out->dims[3];
    uint64_t at = s->scratch, part = 0;
    isgi_pooled *g = &s->pooled;
    if (pool->kind != ISG_KIND_MAX_POOL || !(s->int8.on ? isgi_int8_by_rows(&s->int8) : c->lined)) return 0;
    if (reach > c->oh || w->kw > c->ow || list > POOLED_LIST || row * c->oh < PAIR_FLOATS ||
        kept * row > SHARED_FLOATS || 5 * (strips - 1) * (reach + rows) > c->oh ||
        2 * workers * kept > (uint64_t)c->batch * c->oh)
        return 0;
    g->rows = (uint32_t)rows;
    g->bands = (uint32_t)bands;
    g->strips = (uint32_t)strips;
    (void)place(&part, kept * row);
    g->at_list = place(&part, list * (sizeof(void *) / sizeof(float)));
    g->worker = place(&at, 0);
    g->worker_floats = (size_t)part;
    s->scratch = g->worker + part * workers;
    return 1;
}

void isgi_conv_plan(isgi_conv *c, const isgi_op *op, const isg_weight *w, const isgi_shape *x, const isgi_shape *out,
                    const isg_weight *bias, const isgi_plan_for *f)
{
    set_geometry(c, op, w, x, out);
    choose_way(c, w, f);
    count_work(c, w, f);
    c->bf16 = !c->winograd.tiles && f->mode == ISG_MODE_BF16 && fits_bf16(c, w);
    if (isgi_fuses(c, w, c->strategy)) {
        set_fused_tiles(c, w, f->lanes, f->workers);
    } else if (c->winograd.tiles) {
        set_winograd_tiles(c, f->workers);
    } else if (c->depthwise) {
        set_depthwise_tiles(c, f->workers);
    } else {
        set_matrix_tiles(c, w, f);
    }
    c->tasks = count_tasks(c);
    set_scratch(c, w, bias, f->workers);
}
