/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks and bits per layer under a byte budget: candidates with their measured errors, sensitivities, selection. */
#include "compress/search.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "host/alloc.h"
#include "host/cancel.h"

#define MAX_CANDIDATES 192u
#define LARGE_LAYER 600000u /* weights; above, candidates far from the wanted rate are not tried */
#define REFERENCE_BITS 3u   /* of the rounding that measures sensitivity */
#define LOW_RATE 0.5        /* bits a weight: below, ranks under an eighth are tried */

/* ---- candidates ---- */

typedef struct candidate_list {
    isg_layer_choice items[MAX_CANDIDATES];
    uint32_t count;
} candidate_list;

static void list_add(candidate_list *list, uint32_t bi, uint32_t bo, const uint8_t bits[3], uint8_t family)
{
    if (list->count < MAX_CANDIDATES) {
        isg_layer_choice choice = {bi, bo, bits[0], bits[1], bits[2], family};
        list->items[list->count++] = choice;
    }
}

static void list_dense(candidate_list *list)
{
    static const uint8_t bits[] = {1, 2, 3, 4, 5, 6, 8};
    for (size_t i = 0; i < sizeof bits; i++) {
        const uint8_t q[3] = {bits[i], bits[i], bits[i]};
        list_add(list, 0, 0, q, ISG_QUANT_MIDTREAD);
        if (bits[i] == 2 || bits[i] == 3) list_add(list, 0, 0, q, ISG_QUANT_MIDRISE);
    }
}

/* Ranks at fractions of the full one, in steps of 4 (whole vectors), both levels as the geometry allows. */
static void list_factored(candidate_list *list, const isgi_layer *layer, double rate)
{
    static const uint8_t mixes[][3] = {{3, 6, 3}, {4, 4, 4}, {6, 6, 6}, {8, 8, 8}};
    static const uint32_t parts[] = {1, 2, 4, 8, 12, 16, 24}; /* of 32 */
    const uint32_t taps = layer->kh * layer->kw;
    const uint32_t full = layer->co < layer->rows ? layer->co : layer->rows;
    const uint32_t max_bi =
        layer->depthwise ? (taps < layer->co ? taps : layer->co) : (taps < layer->ci ? taps : layer->ci);
    for (size_t m = 0; m < sizeof mixes / sizeof mixes[0]; m++) {
        for (uint32_t bi = 1; bi < max_bi && bi <= 4; bi++) list_add(list, bi, 0, mixes[m], ISG_QUANT_MIDTREAD);
        if (layer->depthwise) continue;
        for (size_t e = rate < LOW_RATE ? 0 : 2; e < sizeof parts / sizeof parts[0]; e++) {
            const uint32_t bo = (full * parts[e] / 32 + 3) / 4 * 4;
            if (bo == 0 || bo >= full) continue;
            list_add(list, 0, bo, mixes[m], ISG_QUANT_MIDTREAD);
            for (uint32_t bi = 1; bi < max_bi && bi <= 4; bi++) list_add(list, bi, bo, mixes[m], ISG_QUANT_MIDTREAD);
        }
    }
}

static isg_status evaluate(isgi_candidate *c, const isgi_layer *layer, const isg_layer_choice *choice, uint64_t seed,
                           isg_error *err)
{
    isg_factors *f;
    isg_factor_report report;
    isg_status status;
    ISGI_TRY(isgi_layer_factors(&f, layer, choice, err));
    status = isgi_layer_fit(f, layer, ISG_FACTOR_SVD, seed, NULL, &report, err);
    c->choice = *choice;
    c->bits = isg_factors_stored_bits(f);
    c->error = report.output_error;
    isg_factors_destroy(f);
    return status;
}

/* Sorted by bits, and only what no cheaper candidate beats. */
static void keep_pareto(isgi_candidates *set)
{
    uint32_t kept = 0;
    for (uint32_t i = 1; i < set->count; i++) {
        isgi_candidate c = set->items[i];
        uint32_t j = i;
        for (; j > 0 && (set->items[j - 1].bits > c.bits ||
                         (set->items[j - 1].bits == c.bits && set->items[j - 1].error > c.error));
             j--) {
            set->items[j] = set->items[j - 1];
        }
        set->items[j] = c;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (kept == 0 || set->items[i].error < set->items[kept - 1].error) set->items[kept++] = set->items[i];
    }
    set->count = kept;
}

static isg_status layer_candidates(isgi_candidates *set, const isgi_layer *layer, double rate, uint64_t seed,
                                   const isg_progress *progress, isgi_layer_turn *turn, isg_error *err)
{
    candidate_list list;
    const uint64_t weights = (uint64_t)layer->rows * layer->cols;
    list.count = 0;
    list_dense(&list);
    list_factored(&list, layer, rate);
    set->count = 0;
    set->items = isgi_malloc(list.count * sizeof *set->items);
    if (!set->items) return isgi_nomem(err);
    for (uint32_t i = 0; i < list.count; i++) {
        const isg_layer_choice *choice = &list.items[i];
        uint64_t bits;
        ISGI_TRY(isgi_layer_bits(&bits, layer, choice, err));
        if (choice->bi || choice->bo) {
            const double per_weight = (double)bits / (double)weights;
            if (per_weight >= 8.0) continue; /* 8-bit rounding is smaller and nearly exact */
            if (weights > LARGE_LAYER && (per_weight > 2.0 * rate || per_weight < rate / 4.0)) continue;
        }
        ISGI_TRY(isgi_cancelled(progress, err));
        ISGI_TRY(evaluate(&set->items[set->count], layer, choice, seed, err));
        set->count++;
        isgi_layer_advance(turn, (double)i / list.count);
    }
    keep_pareto(set);
    return ISG_OK;
}

typedef struct candidate_job {
    isgi_candidates *sets;
    const isgi_layers *layers;
    double rate;
    uint64_t seed;
    const isg_progress *progress;
} candidate_job;

static isg_status candidates_of(void *user, isgi_layer_turn *turn, isg_error *err)
{
    const candidate_job *job = user;
    return layer_candidates(&job->sets[turn->index], &job->layers->items[turn->index], job->rate,
                            job->seed + turn->index, job->progress, turn, err);
}

isg_status isgi_search_candidates(isgi_candidates *sets, const isgi_layers *layers, double rate, uint64_t seed,
                                  const isg_parallel *parallel, const isg_progress *progress, isg_error *err)
{
    candidate_job job = {sets, layers, rate, seed, progress};
    return isgi_layers_each(layers, candidates_of, &job, "ranks and bits", parallel, progress, err);
}

void isgi_search_clear(isgi_candidates *sets, uint32_t count)
{
    for (uint32_t i = 0; sets && i < count; i++) isg_free(sets[i].items);
    isg_free(sets);
}

/* ---- sensitivity ---- */

static void to_probabilities(double *p, const float *row, uint64_t width)
{
    double sum = 0.0, largest = row[0];
    int already = 1;
    for (uint64_t i = 0; i < width; i++) {
        sum += (double)row[i];
        if (row[i] < 0.0f) already = 0;
        if ((double)row[i] > largest) largest = (double)row[i];
    }
    already = already && fabs(sum - 1.0) < 1e-3;
    sum = 0.0;
    for (uint64_t i = 0; i < width; i++) {
        p[i] = already ? (double)row[i] + 1e-12 : exp((double)row[i] - largest) + 1e-12;
        sum += p[i];
    }
    for (uint64_t i = 0; i < width; i++) p[i] /= sum;
}

static isg_status divergence(double *result, const float *base, const float *other, uint64_t count, uint64_t width,
                             int classifier, isg_error *err)
{
    double total = 0.0, energy = 0.0;
    double *p = isgi_malloc(2 * width * sizeof *p), *q = p ? p + width : NULL;
    if (!p) return isgi_nomem(err);
    for (uint64_t n = 0; n < count; n++) {
        const float *a = base + n * width, *b = other + n * width;
        if (classifier) {
            to_probabilities(p, a, width);
            to_probabilities(q, b, width);
            for (uint64_t i = 0; i < width; i++) total += p[i] * log(p[i] / q[i]);
            energy += 1.0;
        } else {
            for (uint64_t i = 0; i < width; i++) {
                total += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
                energy += (double)a[i] * (double)a[i];
            }
        }
    }
    isg_free(p);
    *result = energy > 0.0 ? total / energy : 0.0;
    return isfinite(*result) ? ISG_OK : isgi_fail(err, ISG_E_NUMERIC, "the network's output is not finite");
}

/* The output when only `layer` is rounded. The weight's constant steps aside for the time of the run. */
static isg_status disturbed_output(float **outputs, double *error, const isgi_layer *layer, isg_graph *g,
                                   const isgi_calibration *c, uint64_t items, isg_error *err)
{
    static const isg_layer_choice choice = {0, 0, REFERENCE_BITS, REFERENCE_BITS, REFERENCE_BITS, ISG_QUANT_MIDTREAD};
    isg_value *value = &g->values[layer->value];
    isg_tensor *constant = value->constant;
    isg_factor_report report;
    isg_factors *f;
    uint64_t width;
    isg_status status;
    ISGI_TRY(isgi_layer_factors(&f, layer, &choice, err));
    status = isgi_layer_fit(f, layer, ISG_FACTOR_SVD, 0, NULL, &report, err);
    if (status == ISG_OK) {
        value->constant = NULL;
        value->factors = f;
        status = isgi_calibrate_outputs(outputs, &width, g, c, items, err);
        value->constant = constant;
        value->factors = NULL;
        *error = report.output_error;
    }
    isg_factors_destroy(f);
    return status;
}

isg_status isgi_search_sensitivity(isgi_layers *layers, isg_graph *g, const isgi_calibration *c, uint64_t items,
                                   int classifier, isg_error *err)
{
    float *base = NULL, *other = NULL;
    uint64_t width = 0;
    double mean = 0.0;
    uint32_t measured = 0;
    isg_status status = isgi_calibrate_outputs(&base, &width, g, c, items, err);
    if (items > c->count) items = c->count;
    for (uint32_t i = 0; i < layers->count && status == ISG_OK; i++) {
        isgi_layer *layer = &layers->items[i];
        double moved = 0.0, error = 0.0;
        if (layer->keep) continue;
        if (c->progress && c->progress->report) {
            c->progress->report(c->progress->user, "sensitivity", i, layers->count, layer->name);
        }
        status = disturbed_output(&other, &error, layer, g, c, items, err);
        if (status == ISG_OK) status = divergence(&moved, base, other, items, width, classifier, err);
        isg_free(other);
        other = NULL;
        layer->sensitivity = error > 1e-9 ? moved / error : 0.0;
        mean += layer->sensitivity;
        measured++;
    }
    /* A layer that seems not to matter on these few items must still not be thrown away. */
    for (uint32_t i = 0; i < layers->count && status == ISG_OK && measured; i++) {
        const double least = 0.01 * mean / measured;
        if (layers->items[i].sensitivity < least) layers->items[i].sensitivity = least;
    }
    isg_free(base);
    return status;
}

/* ---- selection ---- */

static uint32_t best_for(const isgi_candidates *set, double sensitivity, double lambda)
{
    uint32_t best = 0;
    double least = INFINITY;
    for (uint32_t i = 0; i < set->count; i++) {
        const double cost = sensitivity * set->items[i].error + lambda * (double)set->items[i].bits;
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    return best;
}

static uint64_t select_all(uint32_t *picks, const isgi_layers *layers, const isgi_candidates *sets, double lambda)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < layers->count; i++) {
        if (!sets[i].count) continue;
        picks[i] = best_for(&sets[i], layers->items[i].sensitivity, lambda);
        bits += sets[i].items[picks[i]].bits;
    }
    return bits;
}

/* Spends what the hull left over: the upgrade with the most gain a bit that fits, until none does. */
static void upgrade(uint32_t *picks, const isgi_layers *layers, const isgi_candidates *sets, uint64_t left)
{
    for (;;) {
        double best_gain = 0.0;
        uint32_t best_layer = 0, best_pick = 0;
        for (uint32_t i = 0; i < layers->count; i++) {
            for (uint32_t k = sets[i].count ? picks[i] + 1 : 0; k < sets[i].count; k++) {
                const isgi_candidate *now = &sets[i].items[picks[i]], *next = &sets[i].items[k];
                const uint64_t more = next->bits - now->bits;
                const double gain =
                    layers->items[i].sensitivity * (now->error - next->error) / (double)(more ? more : 1);
                if (more <= left && gain > best_gain) {
                    best_gain = gain;
                    best_layer = i;
                    best_pick = k;
                }
            }
        }
        if (best_gain <= 0.0) return;
        left -= sets[best_layer].items[best_pick].bits - sets[best_layer].items[picks[best_layer]].bits;
        picks[best_layer] = best_pick;
    }
}

isg_status isgi_search_select(isgi_layers *layers, const isgi_candidates *sets, uint64_t budget_bits, isg_error *err)
{
    double low = 0.0, high = 1e-12;
    uint64_t bits;
    uint32_t *picks = isgi_calloc(layers->count, sizeof *picks);
    if (!picks) return isgi_nomem(err);
    while ((bits = select_all(picks, layers, sets, high)) > budget_bits && high < 1e12) high *= 4.0;
    if (bits > budget_bits) {
        isg_free(picks);
        return isgi_fail(err, ISG_E_TARGET,
                         "target too small: the weights take at least %llu bytes, %llu are left for them",
                         (unsigned long long)((bits + 7) / 8), (unsigned long long)(budget_bits / 8));
    }
    for (int i = 0; i < 80; i++) {
        const double middle = 0.5 * (low + high);
        if (select_all(picks, layers, sets, middle) > budget_bits)
            low = middle;
        else
            high = middle;
    }
    bits = select_all(picks, layers, sets, high);
    upgrade(picks, layers, sets, budget_bits - bits);
    for (uint32_t i = 0; i < layers->count; i++) {
        if (sets[i].count) layers->items[i].choice = sets[i].items[picks[i]].choice;
    }
    isg_free(picks);
    return ISG_OK;
}
