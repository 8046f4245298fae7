/* SPDX-License-Identifier: Apache-2.0 */
/* The cost model: how much work of each kind a way of running a layer takes, times what a unit of it costs. */
#include "rt/plan_cost.h"
#include "rt/int8_ops.h"

#define WINOGRAD_CHANNELS 16u /* with fewer the transforms take what the products save */
#define NOMINAL_STRIP 192u    /* pixels a product: the workers' number, which shortens strips, must not decide */
#define COMPOSE_ROWS 16u      /* rows of W that one product with V makes */

static uint64_t ceil_div(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* A product computes whole vectors: columns of padding cost as much as others. */
static uint64_t columns(uint64_t n)
{
    return (n + 15u) & ~(uint64_t)15u;
}

/* AVX2: from isg_costs_measure(); the others from older measurements in cycles, at 3 GHz (docs/numerics.md). */
static const struct {
    uint32_t isa;
    isg_rt_costs costs;
} built_in[] = {
    {ISG_ISA_AVX512,
     {sizeof(isg_rt_costs), 10400, 10400, 60000, 20800, 31200, 104000, 73000, 100000, 16384, 3000, 9000, 50000}},
    {ISG_ISA_AVX2,
     {sizeof(isg_rt_costs), 22300, 22800, 126000, 45000, 175000, 141000, 170000, 200000, 16384, 10500, 28000, 90000}},
    {ISG_ISA_NEON,
     {sizeof(isg_rt_costs), 26000, 26000, 130000, 52000, 52000, 125000, 400000, 200000, 4096, 14000, 30000, 300000}},
    {ISG_ISA_SCALAR,
     {sizeof(isg_rt_costs), 125000, 125000, 250000, 208000, 125000, 167000, 1040000, 200000, 4096, 1100000, 210000,
      1500000}},
};

void isgi_costs_of(isg_rt_costs *costs, uint32_t isa)
{
    size_t i = 0;
    while ((isa & built_in[i].isa) != built_in[i].isa) i++;
    *costs = built_in[i].costs;
}

int isgi_is_pointwise(const isgi_conv *c)
{
    const isgi_window *g = &c->window;
    return c->taps == 1 && !g->top && !g->left && !g->bottom && !g->right;
}

int isgi_fuses(const isgi_conv *c, const isg_weight *w, uint32_t way)
{
    if (c->groups != 1 || c->depthwise || w->depthwise) return 0;
    return way == ISG_STRATEGY_FACTORED || (way == ISG_STRATEGY_HALF && !w->level1 && isgi_is_pointwise(c));
}

static uint64_t codes_of(const isg_weight *w)
{
    return (uint64_t)w->basis.rows * w->basis.cols + (uint64_t)w->u.rows * w->u.cols + (uint64_t)w->v.rows * w->v.cols;
}

static uint64_t pixels_of(const isgi_conv *c)
{
    return (uint64_t)c->batch * c->oh * c->ow;
}

/* Three taps side by side in rows of pixels that are all read take 25 picoseconds each on a Zen 3 where others take 40
 * to 46. */
static int shares_loads(const isgi_conv *c)
{
    return c->window.kw == 3 && c->window.sw == 1 && c->window.dw == 1;
}

/* The layer as a product of gathered pixels with W, which is there. */
static isgi_work dense_work(const isgi_conv *c)
{
    const uint64_t pixels = pixels_of(c), og = c->oc / c->groups;
    isgi_work n = {0};
    n.macs = pixels * c->k * og;
    if (c->depthwise) {
        n.macs = n.taps = pixels * c->taps * c->oc;
        return n;
    }
    n.macs *= c->groups;
    if (isgi_fits_panels(c, og) && (uint64_t)c->oh * c->ow >= ISGI_PANELS_PIXELS) {
        n.panel = pixels * c->k * columns(og);
        n.weight = (uint64_t)c->k * c->oc;
        if (!c->direct && !isgi_reads_lines(c)) n.gather = pixels * c->k;
        return n;
    }
    n.gemm = pixels * c->k * columns(og) * c->groups;
    n.weight = ceil_div(pixels, NOMINAL_STRIP) * c->k * c->oc;
    if (!c->direct) n.gather = pixels * c->k * c->groups;
    return n;
}

int isgi_can_winograd(const isgi_conv *c)
{
    const isgi_window *g = &c->window;
    return c->groups == 1 && g->kh == 3 && g->kw == 3 && g->sh == 1 && g->sw == 1 && g->dh == 1 && g->dw == 1 &&
           c->ic >= WINOGRAD_CHANNELS && c->ic % 4 == 0 && c->oc % 16 == 0;
}

/* W, made from its factors if it has any. */
static void add_making(isgi_work *n, const isg_weight *w)
{
    const uint64_t rows = (uint64_t)w->taps * w->ci;
    if (w->level1) n->compose += rows * w->bi * (w->level2 ? w->bo : w->co);
    if (w->level2) n->gemm += rows * w->bo * columns(w->co);
    if (w->level2) n->weight += ceil_div(rows, COMPOSE_ROWS) * w->bo * w->co;
    n->macs += n->compose + (w->level2 ? rows * w->bo * w->co : 0);
}

isgi_work isgi_winograd_work(const isgi_conv *c, const isg_weight *w)
{
    const uint64_t tiles = isgi_winograd_all(c), points = ISGK_WINOGRAD_POINTS;
    isgi_work n = {0};
    n.macs = points * tiles * c->ic * c->oc;
    n.panel = points * tiles * c->ic * c->oc;
    n.gather = points * (tiles * c->ic + tiles * c->oc + (uint64_t)c->ic * c->oc);
    add_making(&n, w);
    return n;
}

static isgi_work factored_work(const isgi_conv *c, const isg_weight *w)
{
    const uint64_t pixels = pixels_of(c), bibo = (uint64_t)w->bi * w->bo;
    const uint64_t input = isgi_is_pointwise(c) ? pixels : (uint64_t)c->batch * c->ih * c->iw;
    isgi_work n = {0};
    n.panel = input * c->ic * columns(bibo);
    n.taps = pixels * c->taps * bibo;
    n.macs = input * c->ic * bibo + n.taps;
    if (!shares_loads(c)) n.taps += n.taps * 2 / 3;
    if (!w->level2) return n;
    n.panel += pixels * w->bo * columns(c->oc);
    n.macs += pixels * w->bo * c->oc;
    return n;
}

static isgi_work half_work(const isgi_conv *c, const isg_weight *w)
{
    const uint64_t pixels = pixels_of(c), products = pixels * (c->k * columns(w->bo) + w->bo * columns(c->oc));
    isgi_work n = {0};
    n.macs = pixels * w->bo * ((uint64_t)c->k + c->oc);
    if (isgi_fuses(c, w, ISG_STRATEGY_HALF)) {
        n.panel = products;
        return n;
    }
    n.gemm = products;
    n.weight = ceil_div(pixels, NOMINAL_STRIP) * w->bo * ((uint64_t)c->k + c->oc);
    if (!c->direct) n.gather = pixels * c->k;
    if (w->level1) n.compose = ceil_div(pixels, ISGI_HALF_FLOATS / w->bo + 1) * w->taps * w->ci * w->bi * w->bo;
    n.macs += n.compose;
    return n;
}

isgi_work isgi_work_of(const isgi_conv *c, const isg_weight *w, uint32_t way)
{
    isgi_work n;
    if (way == ISG_STRATEGY_FACTORED) {
        n = factored_work(c, w);
    } else if (way == ISG_STRATEGY_HALF) {
        n = half_work(c, w);
    } else {
        n = dense_work(c);
        add_making(&n, w);
    }
    n.unpack = isgi_lies_ready(w) ? 0 : codes_of(w);
    n.bytes = w->basis.data_bytes + w->u.data_bytes + w->v.data_bytes;
    return n;
}

/* Added to a sum of femtoseconds; what no clock will ever see stays at the largest number. */
static void add(uint64_t *sum, uint64_t count, uint32_t unit)
{
    const uint64_t cost = unit && count > UINT64_MAX / unit ? UINT64_MAX : count * unit;
    *sum = *sum > UINT64_MAX - cost ? UINT64_MAX : *sum + cost;
}

static uint64_t cost_of(const isgi_work *n, const isg_rt_costs *t, int streams)
{
    uint64_t sum = 0;
    add(&sum, n->panel, t->panel);
    add(&sum, n->gemm, t->gemm);
    add(&sum, n->weight, t->weight);
    add(&sum, n->taps, t->taps);
    add(&sum, n->compose, t->compose);
    add(&sum, n->gather, t->gather);
    add(&sum, n->unpack, t->unpack);
    if (streams) add(&sum, n->bytes, t->stream);
    return sum / 1000000;
}

uint64_t isgi_way_cost(const isgi_conv *c, const isg_weight *w, uint32_t way, const isgi_plan_for *f)
{
    const isgi_work n = isgi_work_of(c, w, way);
    return cost_of(&n, f->costs, f->streams);
}

uint64_t isgi_winograd_cost(const isgi_conv *c, const isg_weight *w, const isgi_plan_for *f)
{
    isgi_work n = isgi_winograd_work(c, w);
    n.unpack = isgi_lies_ready(w) ? 0 : codes_of(w);
    n.bytes = w->basis.data_bytes + w->u.data_bytes + w->v.data_bytes;
    return cost_of(&n, f->costs, f->streams);
}

uint64_t isgi_dense_cost(const isgi_conv *c, const isg_weight *w, const isgi_plan_for *f)
{
    isg_weight plain = *w; /* the same layer without its factors */
    isgi_work sum = dense_work(c), tiles;
    uint64_t cost, other = UINT64_MAX;
    plain.level1 = plain.level2 = 0;
    tiles = isgi_winograd_work(c, &plain);
    sum.bytes = tiles.bytes = (uint64_t)w->taps * w->ci * w->co * sizeof(float);
    cost = cost_of(&sum, f->costs, f->dense_streams);
    if (isgi_can_winograd(c)) other = cost_of(&tiles, f->costs, f->dense_streams);
    return other < cost ? other : cost;
}

uint64_t isgi_int8_cost(const isgi_int8 *q, const isgi_conv *c, const isg_weight *w, const isg_rt_costs *t)
{
    const uint64_t in = (uint64_t)c->batch * c->ih * c->iw, out = pixels_of(c), bibo = (uint64_t)w->bi * w->bo;
    uint64_t sum = 0;
    add(&sum, codes_of(w), t->unpack);
    add(&sum, q->making, t->compose);
    add(&sum, in * c->ic + out * c->oc + (w->level2 ? out * w->bo : 0), t->pass_int8);
    if (w->level2) add(&sum, out * w->bo * c->oc, t->gemm_int8);
    if (q->form == ISGI_INT8_FACTORED) {
        add(&sum, in * bibo, t->pass_int8);
        add(&sum, in * c->ic * bibo, t->gemm_int8);
        add(&sum, out * w->taps * bibo, t->taps_int8);
    } else if (q->form == ISGI_INT8_DEPTHWISE) {
        add(&sum, out * c->taps * c->oc, t->taps_int8);
    } else {
        add(&sum, out * c->k * (w->level2 ? w->bo : c->oc), t->gemm_int8);
        if (!c->direct) add(&sum, out * c->k / 4, t->gather);
    }
    return sum / 1000000;
}
