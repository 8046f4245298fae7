/* SPDX-License-Identifier: Apache-2.0 */
/* Which layers run in int8, with what tiles and scratch, and the ranges section behind it. */
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "rt/exec.h"
#include "rt/gen.h"
#include "rt/int8_ops.h"
#include "rt/plan_cost.h"

#define MID_BYTES 16384u   /* of the products with U that a task keeps: half of a usual L1 */
#define MAP_BYTES 1048576u /* of those that all tasks share, */
#define SHARE_PIXELS 8u    /* and how many a task makes at least */
#define MAX_SUM (255u * 255u)
#define MADE_NUMBERS 65536u /* of a W that is made whole */

static uint64_t ceil_div64(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* Codes that are integers of 8 bits (docs/numerics.md). */
static int fits_s8(const isg_codes *codes)
{
    return codes->family != ISG_QUANT_RAW && codes->bits <= 8;
}

static int choose_form(const isgi_conv *c, const isg_weight *w, uint8_t *form)
{
    const uint64_t most = INT32_MAX / MAX_SUM - 8;
    if (!fits_s8(&w->basis) || (w->level1 && !fits_s8(&w->u)) || (w->level2 && !fits_s8(&w->v))) return 0;
    if (c->k > most || w->bo > most || (uint64_t)w->taps * w->bi > most) return 0;
    if (c->depthwise) {
        *form = ISGI_INT8_DEPTHWISE;
        return !w->level1 && !w->level2 && !w->depthwise;
    }
    if (c->groups != 1 || w->depthwise) return 0;
    *form = w->level1 ? ISGI_INT8_FACTORED : w->level2 ? ISGI_INT8_CHAIN : ISGI_INT8_DENSE;
    return 1;
}

/* What taps read has its padding in memory, so that every pixel of a row reads alike. */
static int set_line(isgi_int8 *q, const isgi_conv *c)
{
    const isgi_window *w = &c->window;
    const uint64_t reach = (uint64_t)(c->ow - 1) * w->sw + (uint64_t)(w->kw - 1) * w->dw + 1;
    const uint64_t inside = (uint64_t)w->left + c->iw, line = reach > inside ? reach : inside;
    q->left = w->left;
    q->line = (uint32_t)line;
    return line <= UINT32_MAX / 4;
}

static void set_input_scale(isgi_int8 *q)
{
    const float steps = 255.0f;
    int32_t zero;
    q->scale = (q->ranges.hi - q->ranges.lo) / steps;
    zero = (int32_t)(-q->ranges.lo / q->scale + 0.5f);
    q->zero = zero > 255 ? 255 : zero;
}

/* Rows of the FACTORED form: of the output a task and a group, of the input that are kept for a group. */
static void set_rows(isgi_int8 *q, const isgi_conv *c, uint64_t row_bytes, uint32_t workers)
{
    const uint64_t reach = (uint64_t)(c->window.kh - 1) * c->window.dh + 1, fit = MID_BYTES / row_bytes;
    const uint64_t tasks = ISGI_SHARES * (uint64_t)workers, share = ceil_div64((uint64_t)c->oh * c->batch, workers);
    uint64_t some = share > 2 ? share : 2;
    const uint64_t rows = ceil_div64(c->oh, ceil_div64(c->oh, some < c->oh ? some : c->oh));
    uint64_t group = fit > reach ? (fit - reach) / c->window.sh + 1 : 1, ring, repeated;
    if (group > rows) group = rows;
    group = ceil_div64(rows, ceil_div64(rows, group));
    ring = (group - 1) * c->window.sh + reach;
    q->rows = (uint32_t)rows;
    q->group = (uint32_t)group;
    q->ring = (uint32_t)(ring < c->ih ? ring : c->ih);
    /* Tasks repeat the rows that two of them read: not where that is a tenth of all. */
    repeated = (ceil_div64(c->oh, rows) - 1) * (reach > c->window.sh ? reach - c->window.sh : 0);
    if (10 * repeated > c->ih && (uint64_t)c->batch * c->ih <= MAP_BYTES / row_bytes) {
        q->ring = c->ih;
        some = ceil_div64(SHARE_PIXELS, c->iw);
        if (some < ceil_div64((uint64_t)c->ih * c->batch, tasks)) some = ceil_div64((uint64_t)c->ih * c->batch, tasks);
        q->share = some < c->ih ? (uint32_t)some : c->ih;
    }
}

/* Few pixels are shared by everybody. */
static void set_pixels(isgi_int8 *q, const isgi_conv *c, uint32_t workers)
{
    const uint64_t share = ceil_div64((uint64_t)c->batch * c->oh * c->ow, workers);
    q->pixels = share < ISGI_INT8_PIXELS ? (uint32_t)(share + 3) & ~3u : ISGI_INT8_PIXELS;
}

/* Where dwpairs_u8s8 is: it sorts half as many bytes as dwconv_u8s8. */
static int wants_pairs(const isg_weight *w, uint32_t isa)
{
    return (isa & ISG_ISA_AVX2) && w->bi % 2 == 0;
}

/* In the time of one integer multiply-add of matrices of AVX2, about: one of sums over taps takes three, a number that
 * goes in, out or between 36, to be rounded and for what comes with it; in binary32 one of matrices takes three (two in
 * large ones), of sums over taps four. A layer of few channels is faster as it is. Neither measured costs nor threads
 * nor the batch count, so that all machines compute the same. */
static int factored_pays(const isgi_conv *c, const isg_weight *w)
{
    const uint64_t bibo = (uint64_t)w->bi * w->bo, in = (uint64_t)c->ih * c->iw, out = (uint64_t)c->oh * c->ow;
    const uint64_t products = in * bibo * c->ic + (w->level2 ? out * w->bo * c->oc : 0), taps = out * w->taps * bibo;
    const uint64_t numbers = in * (c->ic + bibo) + out * (c->oc + (w->level2 ? (uint64_t)w->bo : 0));
    const uint64_t integers = products + 3 * taps + 36 * numbers, floats = 3 * products + 4 * taps;
    return integers <= floats && integers <= 2 * (c->dense_macs / c->batch);
}

/* In hundredths of the time of one multiply-add in binary32 of AVX2 (docs/kernels.md): one of integers takes 60 where a
 * code has eight bits, 45 where seven, else 34; a number that comes out 1400, one that goes in 800, one that is
 * gathered for a product 600; one of those that make W in plain C, with all else that making takes, 900. Winograd's
 * algorithm in binary32: a multiply-add of its points 100, of 36 points one that goes in 480, one that comes out 660, a
 * weight 300. */
static int dense_pays(const isgi_conv *c, uint32_t bits, uint64_t making)
{
    const uint64_t pixels = (uint64_t)c->oh * c->ow, ic = c->ic, oc = c->oc, macs = pixels * oc * c->k;
    const uint64_t tiles = (uint64_t)isgi_winograd_tiles(c->oh) * isgi_winograd_tiles(c->ow);
    const uint64_t winograd = ISGK_WINOGRAD_POINTS * (tiles * (ic * oc * 100 + ic * 480 + oc * 660) + ic * oc * 300);
    const uint64_t gathered = isgi_is_pointwise(c) ? 0 : pixels * c->k;
    const uint32_t integer = bits > 7 ? 60 : bits > 6 ? 45 : 34;
    isgi_conv one = *c; /* the batch does not count */
    uint64_t floats = macs * 100;
    one.batch = 1;
    if (isgi_can_winograd(&one) && winograd < floats) floats = winograd;
    return 9 * floats >= 10 * (macs * integer + pixels * oc * 1400 + (uint64_t)c->ih * c->iw * ic * 800 +
                               gathered * 600 + making * 900);
}

const isg_weight *isgi_int8_weight(const isgi_int8 *q, const isg_weight *w, isg_weight *made)
{
    if (!q->made) return w;
    memset(made, 0, sizeof *made);
    made->taps = w->taps;
    made->ci = w->ci;
    made->co = w->co;
    made->basis.rows = w->taps * w->ci;
    made->basis.cols = w->co;
    made->basis.bits = ISGI_INT8_MADE_BITS;
    made->basis.family = ISG_QUANT_MIDTREAD;
    return made;
}

static size_t place_bytes(uint64_t *at, uint64_t bytes)
{
    const uint64_t offset = *at;
    *at += (bytes + 63) & ~(uint64_t)63;
    return (size_t)offset;
}

/* `numbers`: floats that W is made in. */
static void place_all(isgi_int8 *q, const isgi_conv *c, const isg_weight *w, uint64_t numbers, uint32_t workers)
{
    const uint64_t bibo = (uint64_t)w->bi * w->bo, wide = w->bo ? (uint64_t)w->bo : c->oc;
    const uint64_t first = q->form == ISGI_INT8_FACTORED ? bibo : q->form == ISGI_INT8_CHAIN ? w->bo : c->oc;
    const uint64_t tap = q->form == ISGI_INT8_FACTORED ? bibo : q->x_step; /* bytes of a pixel that taps read */
    const uint64_t tile = isgi_int8_tile_step((size_t)(wide > ISGI_INT8_COLUMNS ? wide : ISGI_INT8_COLUMNS));
    uint64_t at = 0, part = 0, longest = q->k4 > q->sum_step / 4 ? 4 * (uint64_t)q->k4 : q->sum_step;
    if (q->form != ISGI_INT8_FACTORED && q->line)
        q->x = place_bytes(&at, (uint64_t)c->batch * c->ih * q->line * q->x_step + ISGI_INT8_BEHIND);
    if (q->share) q->map = place_bytes(&at, (uint64_t)c->batch * c->ih * q->line * bibo + ISGI_INT8_BEHIND);
    q->pad = place_bytes(&at, q->line * tap + ISGI_INT8_BEHIND);
    q->ones = place_bytes(&at, longest);
    q->matrix = place_bytes(&at, numbers * sizeof(float));
    if (q->made) q->codes = place_bytes(&at, (uint64_t)c->k * c->oc);
    if (q->form != ISGI_INT8_DEPTHWISE) {
        q->first = place_bytes(&at, 4 * (uint64_t)q->k4 * first);
        q->init_first = place_bytes(&at, 4 * first);
        q->mul_first = place_bytes(&at, 4 * first);
    }
    if (q->groups) {
        q->basis = place_bytes(&at, q->paired ? (uint64_t)w->taps * (w->bi / 2) * isgi_int8_pair_bytes(w->bo)
                                              : q->groups * ((wide + 63) / 64 * 256));
        q->codes = place_bytes(&at, (uint64_t)w->basis.rows * w->basis.cols);
        q->init_basis = place_bytes(&at, 4 * wide);
        q->mul_basis = place_bytes(&at, 4 * wide);
    }
    if (w->level2) {
        q->second = place_bytes(&at, (uint64_t)q->sum_step * c->oc);
        q->init_second = place_bytes(&at, 4 * (uint64_t)c->oc);
        q->mul_second = place_bytes(&at, 4 * (uint64_t)c->oc);
    }
    q->add = place_bytes(&at, 4 * (uint64_t)c->oc);
    q->at_tile = place_bytes(&part, 4 * ISGI_INT8_PIXELS * tile);
    q->at_input = place_bytes(
        &part, q->form == ISGI_INT8_DEPTHWISE ? 0 : ISGI_INT8_PIXELS * 4 * (uint64_t)q->k4 + ISGI_INT8_BEHIND);
    q->at_taps = place_bytes(&part, 4 * (uint64_t)q->groups * sizeof(void *));
    if (q->form == ISGI_INT8_FACTORED && !q->share)
        q->at_mid = place_bytes(&part, (uint64_t)q->ring * q->line * bibo + ISGI_INT8_BEHIND);
    q->at_sums = place_bytes(&part, w->level2 ? (uint64_t)ISGI_INT8_PIXELS * q->sum_step : 0);
    longest = first > c->oc ? first : c->oc; /* of a factor's rows, while it is unpacked */
    if (part < ISGI_INT8_BLOCK * longest) part = (ISGI_INT8_BLOCK * longest + 63) & ~(uint64_t)63;
    q->worker = (size_t)at;
    q->worker_bytes = (size_t)part;
    q->scratch = part > (uint64_t)1 << 40 ? UINT64_MAX : (at + part * workers) / sizeof(float) + 16;
}

void isgi_int8_plan(isgi_int8 *q, const isgi_conv *c, const isg_weight *w, const isgi_ranges *ranges, uint32_t forced,
                    uint32_t isa, uint32_t workers)
{
    isg_weight codes;
    uint64_t numbers = 0;
    memset(q, 0, sizeof *q);
    if (!(ranges->hi > ranges->lo) || !choose_form(c, w, &q->form)) return;
    if ((w->level1 && !(ranges->mid > 0.0f)) || (w->level2 && !(ranges->sum > 0.0f))) return;
    q->ranges = *ranges;
    set_input_scale(q);
    if (q->form == ISGI_INT8_FACTORED &&
        (forced == ISG_STRATEGY_GENERATE || (forced == ISG_STRATEGY_AUTO && !factored_pays(c, w)))) {
        numbers = (uint64_t)c->k * c->oc;
        if (numbers > MADE_NUMBERS) return;
        q->making = numbers * (w->level2 ? w->bo : w->bi);
        numbers += isgi_gen_scratch_floats(w, c->k);
        q->made = 1;
        q->form = ISGI_INT8_DENSE;
        w = isgi_int8_weight(q, w, &codes);
    }
    if (q->form == ISGI_INT8_FACTORED) q->groups = (w->taps * w->bi + 3) / 4;
    q->paired = q->form == ISGI_INT8_FACTORED && wants_pairs(w, isa);
    if (q->form == ISGI_INT8_DEPTHWISE) q->groups = (w->taps + 3) / 4;
    /* what is gathered need not be whole groups of four before */
    q->pointwise = !q->groups && isgi_is_pointwise(c);
    q->x_step = q->pointwise || q->groups ? (c->ic + 3) & ~3u : c->ic;
    q->k = q->form == ISGI_INT8_FACTORED ? c->ic : c->k;
    q->k4 = (q->k + 3) / 4;
    q->sum_step = (w->bo + 3) & ~3u;
    if (!q->pointwise && !set_line(q, c)) return;
    if (forced == ISG_STRATEGY_AUTO && q->form == ISGI_INT8_DENSE && !dense_pays(c, w->basis.bits, q->making)) return;
    if (q->form == ISGI_INT8_FACTORED) set_rows(q, c, (uint64_t)q->line * w->bi * w->bo, workers);
    set_pixels(q, c, workers);
    place_all(q, c, w, numbers, workers);
    q->on = 1;
}

uint64_t isgi_int8_macs(const isgi_int8 *q, const isgi_conv *c, const isg_weight *w)
{
    const uint64_t in = (uint64_t)c->batch * c->ih * c->iw, out = (uint64_t)c->batch * c->oh * c->ow;
    const uint64_t bibo = (uint64_t)w->bi * w->bo;
    if (q->form == ISGI_INT8_FACTORED)
        return in * c->ic * bibo + out * w->taps * bibo + (w->level2 ? out * w->bo * c->oc : 0);
    if (q->form == ISGI_INT8_CHAIN) return out * ((uint64_t)c->k * w->bo + (uint64_t)w->bo * c->oc);
    return c->dense_macs + q->making;
}

uint32_t isgi_int8_tasks(const isgi_int8 *q, const isgi_conv *c)
{
    const uint64_t pixels = (uint64_t)c->batch * c->oh * c->ow;
    uint64_t n = ceil_div64(pixels, q->pixels);
    if (q->form == ISGI_INT8_FACTORED)
        n = (uint64_t)c->batch * ceil_div64(c->oh, q->rows);
    else if (q->form == ISGI_INT8_DEPTHWISE)
        n = (uint64_t)c->batch * ceil_div64(c->oh, ISGI_INT8_ROWS);
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* ---- the section ---- */

static int good_number(float x)
{
    return x > -1e30f && x < 1e30f; /* false for NaN as well */
}

isg_status isgi_view_activations(const isgi_model *m, isg_error *err)
{
    uint64_t bytes, at;
    uint32_t layers = 0;
    isgi_cursor c = isgi_view_ops(m);
    const uint8_t *p = isgi_view_section(m, ISG_SECTION_ACTIVATIONS, &bytes);
    if (!p) return ISG_OK;
    at = (uint64_t)(p - m->image);
    for (uint32_t i = 0; i < m->ops; i++) {
        isgi_op op;
        isgi_shape s;
        isgi_view_tensor(m, m->inputs + m->constants + i, &s, NULL);
        ISGI_TRY(isgi_view_read_op(&c, m->inputs + m->constants + i, s.rank, &op, err));
        layers += op.kind == ISG_KIND_CONV || op.kind == ISG_KIND_FC;
    }
    if (bytes != (uint64_t)layers * ISG_FORMAT_ACTIVATION_BYTES)
        return isgi_error(err, ISG_E_FORMAT, "activations section has not one record a layer", at, -1);
    for (uint32_t i = 0; i < layers; i++, p += ISG_FORMAT_ACTIVATION_BYTES, at += ISG_FORMAT_ACTIVATION_BYTES) {
        const float lo = isgi_load_f32(p), hi = isgi_load_f32(p + 4);
        const float mid = isgi_load_f32(p + 8), sum = isgi_load_f32(p + 12);
        if (!good_number(lo) || !good_number(hi) || !good_number(mid) || !good_number(sum))
            return isgi_error(err, ISG_E_FORMAT, "activation range is not finite", at, -1);
        if (lo > 0.0f || hi < 0.0f || mid < 0.0f || sum < 0.0f || (hi - lo < 1e-30f && hi > lo) ||
            (mid < 1e-30f && mid > 0.0f) || (sum < 1e-30f && sum > 0.0f))
            return isgi_error(err, ISG_E_FORMAT, "activation range is out of order", at, -1);
    }
    return ISG_OK;
}

isgi_ranges isgi_int8_ranges(const isgi_model *m, uint32_t layer)
{
    uint64_t bytes;
    const uint8_t *p = isgi_view_section(m, ISG_SECTION_ACTIVATIONS, &bytes);
    isgi_ranges r = {0.0f, 0.0f, 0.0f, 0.0f};
    if (!p || bytes / ISG_FORMAT_ACTIVATION_BYTES <= layer) return r;
    p += (size_t)layer * ISG_FORMAT_ACTIVATION_BYTES;
    r.lo = isgi_load_f32(p);
    r.hi = isgi_load_f32(p + 4);
    r.mid = isgi_load_f32(p + 8);
    r.sum = isgi_load_f32(p + 12);
    return r;
}
