/* SPDX-License-Identifier: Apache-2.0 */
/* The compression pipeline: calibrate, measure sensitivity, decide ranks and bits, factorise, compensate, account. */
#include <insitu/compress.h>
#include <insitu/pack.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compress/calibrate.h"
#include "compress/compensate.h"
#include "compress/layers.h"
#include "compress/recipe.h"
#include "compress/search.h"
#include "graph/graph_internal.h"
#include "host/alloc.h"
#include "host/rng.h"

#define DEFAULT_CALIBRATION 256u
#define CALIBRATION_BATCH 8u
#define SENSITIVITY_ITEMS 64u
#define COMPENSATION_ITEMS 64u
#define DEFAULT_MEMORY ((uint64_t)4 << 30)
#define FIT_COPIES 4u     /* of the largest weight: approximation, difference, factors, their quantised form */
#define SIZE_ROUNDS 8     /* the overhead of a file depends a little on the choices: correct the budget this often, */
#define SIZE_CLOSE 1000.0 /* of the target: as much of it may be left unused */
#define SIZE_STEPS 4096u  /* from the second time on by so small a part of it more than was missed */

typedef struct job {
    isg_graph *graph;
    const isg_compress_options *options;
    isgi_layers layers;
    isgi_calibration calibration;
    uint8_t *fixed; /* per layer: decided by an override */
    isg_factors **made;
    isg_pool *pool;
    isg_parallel parallel;
    uint64_t dense_bytes;   /* float32 weights and biases of the source */
    isg_accounting counted; /* of the choices made, as if packed */
} job;

void isg_compress_options_default(isg_compress_options *o)
{
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->bits_b = 3;
    o->bits_u = 6;
    o->bits_v = 3;
    o->family = ISG_QUANT_MIDTREAD;
    o->method = ISG_FACTOR_ALS;
    o->fc_bits = 8;
    o->raw_bits = 32;
    o->bias_bits = 32;
    o->calibration_count = DEFAULT_CALIBRATION;
    o->compensate = 1;
}

void isg_compress_report_clear(isg_compress_report *r)
{
    for (uint32_t i = 0; i < r->layer_count; i++) isg_free(r->layers[i].name);
    isg_free(r->layers);
    isg_free(r->recipe);
    memset(r, 0, sizeof *r);
}

/* Constants that folding left behind without a reader do not count: the size asked for is relative to what runs. */
static uint64_t dense_bytes(const isg_graph *g)
{
    uint64_t bytes = 0;
    for (int32_t i = 0; i < g->value_count; i++) {
        const isg_tensor *t = g->values[i].constant;
        int used = 0;
        if (!t || t->dtype != ISG_DT_F32) continue;
        for (int32_t n = 0; n < g->node_count && !used; n++) {
            const isg_node *node = &g->nodes[n];
            if (node->op != ISG_OP_CONV && node->op != ISG_OP_GEMM && node->op != ISG_OP_BATCH_NORM) continue;
            for (int32_t k = 1; k < node->input_count && !used; k++) used = node->inputs[k] == i;
        }
        if (used) bytes += (uint64_t)t->count * sizeof(float);
    }
    return bytes;
}

static int has_target(const isg_compress_options *o)
{
    return o->target_ratio > 0.0 || o->target_bytes || o->target_paper_ratio > 0.0;
}

static isg_status check_options(const isg_compress_options *o, isg_error *err)
{
    if (o->struct_size != sizeof *o) return isgi_fail(err, ISG_E_ARG, "compress: options of another library version");
    if (!(o->target_ratio >= 0.0 && o->target_ratio < 1.0)) {
        return isgi_fail(err, ISG_E_ARG, "ratio %g is not between 0 and 1", o->target_ratio);
    }
    if (!(o->target_paper_ratio >= 0.0 && o->target_paper_ratio < 1.0))
        return isgi_fail(err, ISG_E_ARG, "paper ratio %g is not between 0 and 1", o->target_paper_ratio);
    if ((o->target_ratio > 0.0) + (o->target_bytes > 0) + (o->target_paper_ratio > 0.0) + (o->recipe != NULL) +
            (o->bi || o->bo) >
        1) {
        return isgi_fail(err, ISG_E_ARG,
                         "a ratio, a size, a recipe, and ranks for the whole network exclude each other");
    }
    if (!has_target(o) && !o->recipe && !o->bi && !o->bo && !o->override_count) {
        return isgi_fail(err, ISG_E_ARG, "nothing to do: no ratio, size, recipe, ranks or overrides");
    }
    if (o->fc_bits > 8 && o->fc_bits != 32)
        return isgi_fail(err, ISG_E_ARG, "fc_bits is %u, possible are 1 to 8 and 32", (unsigned)o->fc_bits);
    if (o->calibration && !o->input) return isgi_fail(err, ISG_E_ARG, "calibration data without an input contract");
    return ISG_OK;
}

/* ---- deciding ---- */

static isg_status decide_uniform(job *j, isg_error *err)
{
    const isg_compress_options *o = j->options;
    const unsigned flags = o->paper_rules ? ISG_LEVELS_RULE_09 : 0;
    for (uint32_t i = 0; i < j->layers.count; i++) {
        isgi_layer *layer = &j->layers.items[i];
        isg_layer_choice *c = &layer->choice;
        *c = (isg_layer_choice){o->bi, o->bo, o->bits_b, o->bits_u, o->bits_v, o->family};
        if (layer->fc && o->paper_rules) c->bi = c->bo = 0;
        ISGI_TRY(isgi_choice_normalise(c, layer, layer->fc ? 0 : flags, err));
        if (!c->bi && !c->bo) {
            /* Neither level fits: the paper leaves such convolutions in float32 and rounds the classifier. */
            if (o->paper_rules && !layer->fc) layer->keep = 1;
            c->bits_b = c->bits_u = c->bits_v = (uint8_t)(o->fc_bits ? o->fc_bits : 8);
        }
    }
    return ISG_OK;
}

/* Numbers that differ from layer to layer, so that the writer does not store equal factors once. */
static isg_status fill_noise(isg_factors *f, uint64_t seed, isg_error *err)
{
    isg_factor *parts[3] = {&f->basis, &f->u, &f->v};
    isgi_rng rng;
    isgi_rng_seed(&rng, seed, 0);
    for (int i = 0; i < 3; i++) {
        const size_t count = (size_t)parts[i]->rows * parts[i]->cols;
        if (!count) continue;
        isgi_rng_fill_normal(&rng, parts[i]->master, count, 0.0f, 1.0f);
        ISGI_TRY(isg_factor_fit_scale(parts[i], err));
    }
    return ISG_OK;
}

static isg_status count_image(isg_accounting *counted, const void *image, size_t size, isg_error *err)
{
    isg_file view = {image, size, NULL};
    isg_model *m;
    isg_status status = isg_model_open_file(&m, &view, "", NULL, err);
    if (status != ISG_OK) return status;
    status = isg_model_accounting(m, UINT64_MAX, 0, counted, err);
    isg_model_close(m);
    return status;
}

/* What the present choices take: packed for real, with noise for factors. */
static isg_status pack_choices(const job *j, isg_accounting *counted, isg_error *err)
{
    isg_graph *copy = NULL;
    isg_pack_options pack = {0};
    void *image = NULL;
    char *recipe = NULL;
    size_t size = 0;
    isg_status status = isg_graph_clone(&copy, j->graph, err);
    for (uint32_t i = 0; i < j->layers.count && status == ISG_OK; i++) {
        const isgi_layer *layer = &j->layers.items[i];
        isg_value *value = &copy->values[layer->value];
        isg_factors *f;
        if (layer->keep) continue;
        status = isgi_layer_factors(&f, layer, &layer->choice, err);
        if (status != ISG_OK) break;
        status = fill_noise(f, i, err);
        if (status != ISG_OK) {
            isg_factors_destroy(f);
            break;
        }
        isg_tensor_destroy(value->constant);
        value->constant = NULL;
        value->factors = f;
    }
    pack.struct_size = sizeof pack;
    pack.raw_bits = j->options->raw_bits ? j->options->raw_bits : 32;
    pack.bias_bits = j->options->bias_bits ? j->options->bias_bits : 32;
    pack.golden = 1;
    pack.input = j->options->input;
    if (status == ISG_OK) status = isgi_recipe_write(&recipe, &j->layers, err);
    pack.recipe = recipe;
    if (status == ISG_OK) status = isg_pack_image(copy, &pack, &image, &size, err);
    if (status == ISG_OK) status = count_image(counted, image, size, err);
    if (status == ISG_OK) {
        const uint64_t more = j->options->reserved_bytes;
        counted->file_bytes = more < UINT64_MAX - size ? size + more : UINT64_MAX;
    }
    isg_free(recipe);
    isg_free(image);
    isg_graph_destroy(copy);
    return status;
}

static isg_status chosen_bits(const job *j, uint64_t *bits, isg_error *err)
{
    *bits = 0;
    for (uint32_t i = 0; i < j->layers.count; i++) {
        uint64_t one;
        if (j->layers.items[i].keep) continue;
        ISGI_TRY(isgi_layer_bits(&one, &j->layers.items[i], &j->layers.items[i].choice, err));
        *bits += one;
    }
    return ISG_OK;
}

static double counted_bytes(const job *j, const isg_accounting *counted)
{
    return j->options->target_paper_ratio > 0.0 ? counted->bytes : (double)counted->file_bytes;
}

static double target_of(const job *j, const isg_accounting *counted)
{
    const isg_compress_options *o = j->options;
    if (o->target_paper_ratio > 0.0) return floor(counted->bytes_full * o->target_paper_ratio);
    return o->target_bytes ? (double)o->target_bytes : floor((double)j->dense_bytes * o->target_ratio);
}

/* Bits of the layers that the search leaves alone. */
static isg_status fixed_bits(const job *j, const isgi_candidates *sets, uint64_t *bits, isg_error *err)
{
    *bits = 0;
    for (uint32_t i = 0; i < j->layers.count; i++) {
        uint64_t one = 0;
        if (j->layers.items[i].keep || sets[i].count) continue;
        ISGI_TRY(isgi_layer_bits(&one, &j->layers.items[i], &j->layers.items[i].choice, err));
        *bits += one;
    }
    return ISG_OK;
}

/* Selection with `overhead` bytes beside the codes and their scales; what it then takes. */
static isg_status select_beside(job *j, const isgi_candidates *sets, double target, double overhead, uint64_t fixed,
                                isg_accounting *counted, isg_error *err)
{
    if (overhead >= target)
        return isgi_fail(err, ISG_E_TARGET, "target of %.0f bytes missed: what is no weight takes %.0f", target,
                         overhead);
    if ((double)fixed >= (target - overhead) * 8.0)
        return isgi_fail(err, ISG_E_TARGET, "target of %.0f bytes missed: overridden layers alone take %llu", target,
                         (unsigned long long)(fixed / 8));
    ISGI_TRY(isgi_search_select(&j->layers, sets, (uint64_t)((target - overhead) * 8.0) - fixed, err));
    return pack_choices(j, counted, err);
}

/* Selection against what is counted of the packed choices: what that holds besides the codes and their scales, less
 * than nothing where scales do not count, depends a little on the choices. It is measured of each, so that the next
 * comes closer; `best` [layers] is the largest that fits. */
static isg_status select_closely(job *j, const isgi_candidates *sets, isg_layer_choice *best, isg_error *err)
{
    isg_accounting counted;
    uint64_t bits = 0, fixed = 0;
    double target, overhead, most = 0.0, missed = 0.0;
    double too_little = -INFINITY, enough = INFINITY; /* overheads that were tried */
    ISGI_TRY(pack_choices(j, &counted, err));
    ISGI_TRY(fixed_bits(j, sets, &fixed, err));
    ISGI_TRY(chosen_bits(j, &bits, err));
    target = target_of(j, &counted);
    overhead = counted_bytes(j, &counted) - floor((double)bits / 8.0);
    for (int round = 0; round < SIZE_ROUNDS; round++) {
        const isg_status status = select_beside(j, sets, target, overhead, fixed, &counted, err);
        if (status == ISG_E_TARGET && most > 0.0) break;
        if (status != ISG_OK) return status;
        ISGI_TRY(chosen_bits(j, &bits, err));
        missed = counted_bytes(j, &counted) - target;
        if (missed > 0.0)
            too_little = overhead;
        else
            enough = overhead;
        if (missed <= 0.0 && counted_bytes(j, &counted) > most) {
            most = counted_bytes(j, &counted);
            j->counted = counted;
            for (uint32_t i = 0; i < j->layers.count; i++) best[i] = j->layers.items[i].choice;
        }
        if (missed <= 0.0 && -missed * SIZE_CLOSE <= target) break;
        if (isfinite(too_little) && isfinite(enough))
            overhead = 0.5 * (too_little + enough);
        else if (missed > 0.0)
            overhead += missed + round * (8.0 + floor(target / SIZE_STEPS)); /* may save less than was asked for */
        else
            overhead = counted_bytes(j, &counted) - floor((double)bits / 8.0);
    }
    if (most <= 0.0) return isgi_fail(err, ISG_E_TARGET, "target of %.0f bytes missed by %.0f", target, missed);
    for (uint32_t i = 0; i < j->layers.count; i++) j->layers.items[i].choice = best[i];
    return ISG_OK;
}

static isg_status select_for_size(job *j, const isgi_candidates *sets, isg_error *err)
{
    isg_layer_choice *best = isgi_calloc(j->layers.count, sizeof *best);
    const isg_status status = best ? select_closely(j, sets, best, err) : isgi_nomem(err);
    isg_free(best);
    return status;
}

static isg_status decide_by_search(job *j, isg_error *err)
{
    const isg_compress_options *o = j->options;
    const double ratio = o->target_paper_ratio > 0.0 ? o->target_paper_ratio
                         : o->target_bytes           ? (double)o->target_bytes / (double)j->dense_bytes
                                                     : o->target_ratio;
    const double rate = 32.0 * ratio; /* bits a weight */
    isgi_candidates *sets = isgi_calloc(j->layers.count, sizeof *sets);
    uint8_t *kept = isgi_calloc(j->layers.count, 1);
    isg_status status = sets && kept ? ISG_OK : isgi_nomem(err);
    for (uint32_t i = 0; i < j->layers.count && status == ISG_OK; i++) {
        if (!j->fixed[i]) j->layers.items[i].choice = (isg_layer_choice){0, 0, 4, 4, 4, ISG_QUANT_MIDTREAD};
    }
    if (status == ISG_OK && j->calibration.count) {
        status = isgi_search_sensitivity(&j->layers, j->graph, &j->calibration, SENSITIVITY_ITEMS,
                                         isg_dataset_has_labels(o->calibration), err);
    }
    /* The search leaves alone what an override decided. */
    for (uint32_t i = 0; i < j->layers.count && status == ISG_OK; i++) {
        kept[i] = (uint8_t)j->layers.items[i].keep;
        if (j->fixed[i]) j->layers.items[i].keep = 1;
    }
    if (status == ISG_OK) {
        status = isgi_search_candidates(sets, &j->layers, rate, o->seed, &j->parallel, &o->progress, err);
    }
    for (uint32_t i = 0; i < j->layers.count && kept; i++) j->layers.items[i].keep = kept[i];
    if (status == ISG_OK) status = select_for_size(j, sets, err);
    isgi_search_clear(sets, j->layers.count);
    isg_free(kept);
    return status;
}

static isg_status decide(job *j, isg_error *err)
{
    const isg_compress_options *o = j->options;
    const int search = has_target(o);
    if (o->recipe) {
        ISGI_TRY(isgi_recipe_apply(&j->layers, o->recipe, err));
    } else if (!search && (o->bi || o->bo)) {
        ISGI_TRY(decide_uniform(j, err));
    } else if (!search) {
        for (uint32_t i = 0; i < j->layers.count; i++) j->layers.items[i].keep = 1;
    }
    for (uint32_t i = 0; i < o->override_count; i++) {
        ISGI_TRY(isgi_override_apply(&j->layers, &o->overrides[i], o->family ? o->family : ISG_QUANT_MIDTREAD, j->fixed,
                                     err));
    }
    if (search) return decide_by_search(j, err);
    return pack_choices(j, &j->counted, err);
}

/* ---- factorising ---- */

static isg_status fit_layer(void *user, isgi_layer_turn *turn, isg_error *err)
{
    job *j = user;
    const uint32_t index = turn->index;
    isgi_layer *layer = &j->layers.items[index];
    const uint32_t method = j->options->method ? j->options->method : ISG_FACTOR_ALS;
    ISGI_TRY(isgi_layer_factors(&j->made[index], layer, &layer->choice, err));
    ISGI_TRY(isgi_layer_fit(j->made[index], layer, method, j->options->seed + index, &j->options->progress, &layer->fit,
                            err));
    snprintf(turn->text, sizeof turn->text, "%.100s err %.4f", layer->name, layer->fit.output_error);
    return ISG_OK;
}

static isg_status factorise_all(job *j, isg_error *err)
{
    return isgi_layers_each(&j->layers, fit_layer, j, "factorising", &j->parallel, &j->options->progress, err);
}

/* From here on the graph is the compressed one. */
static void attach(job *j)
{
    for (uint32_t i = 0; i < j->layers.count; i++) {
        isg_value *value = &j->graph->values[j->layers.items[i].value];
        if (j->layers.items[i].keep) continue;
        isg_tensor_destroy(value->constant);
        value->constant = NULL;
        value->factors = j->made[i];
        j->made[i] = NULL;
    }
}

/* ---- reporting ---- */

static isg_status report_layer(isg_layer_report *r, const isgi_layer *layer, int dry, isg_error *err)
{
    isg_factors *f;
    r->name = isgi_strdup(layer->name);
    if (!r->name) return isgi_nomem(err);
    r->co = layer->co;
    r->ci = layer->ci;
    r->kh = layer->kh;
    r->kw = layer->kw;
    r->groups = layer->groups;
    r->choice = layer->choice;
    r->kept = (uint8_t)layer->keep;
    r->params_full = (uint64_t)layer->rows * layer->cols;
    r->bytes_full = r->params_full * sizeof(float);
    r->sensitivity = layer->sensitivity;
    r->weight_error = dry && !layer->keep ? NAN : layer->fit.weight_error;
    r->output_error = dry && !layer->keep ? NAN : layer->fit.output_error;
    r->params = r->params_full;
    r->bytes = r->bytes_full;
    if (layer->keep) return ISG_OK;
    ISGI_TRY(isgi_layer_factors(&f, layer, &layer->choice, err));
    r->level1 = f->level1;
    r->level2 = f->level2;
    r->params = isg_factors_params(f);
    r->bytes = (isg_factors_stored_bits(f) + 7) / 8;
    isg_factors_destroy(f);
    return ISG_OK;
}

static isg_status fill_report(isg_compress_report *report, const job *j, isg_error *err)
{
    report->layers = isgi_calloc(j->layers.count, sizeof *report->layers);
    if (!report->layers) return isgi_nomem(err);
    report->layer_count = j->layers.count;
    for (uint32_t i = 0; i < j->layers.count; i++)
        ISGI_TRY(report_layer(&report->layers[i], &j->layers.items[i], j->options->dry_run, err));
    report->params = j->counted.params;
    report->params_full = j->counted.params_full;
    report->paper_bytes = j->counted.bytes;
    report->paper_bytes_full = j->counted.bytes_full;
    report->paper_ratio = j->counted.paper_ratio;
    report->estimated_file_bytes = j->counted.file_bytes;
    report->calibration_count = j->calibration.count;
    report->calibration_flat = j->calibration.flat;
    report->calibration_alike = j->calibration.alike;
    return isgi_recipe_write(&report->recipe, &j->layers, err);
}

static void job_clear(job *j)
{
    for (uint32_t i = 0; j->made && i < j->layers.count; i++) isg_factors_destroy(j->made[i]);
    isg_free(j->made);
    isg_free(j->fixed);
    isgi_layers_clear(&j->layers);
    isgi_calibration_clear(&j->calibration);
    isg_pool_destroy(j->pool);
}

/* Bytes that are needed whatever the data: all weights twice, as they came and as matrices, and the largest again as
 * they are factorised. */
static uint64_t least_bytes(const job *j)
{
    uint64_t all = j->dense_bytes, largest = 0;
    for (uint32_t i = 0; i < j->layers.count; i++) {
        const uint64_t bytes = (uint64_t)j->layers.items[i].rows * j->layers.items[i].cols * sizeof(float);
        all += bytes;
        if (bytes > largest) largest = bytes;
    }
    return all + FIT_COPIES * largest;
}

static isg_status calibrate(job *j, uint64_t least, isg_error *err)
{
    const isg_compress_options *o = j->options;
    uint64_t room = DEFAULT_MEMORY, images;
    j->calibration.batch = CALIBRATION_BATCH;
    j->calibration.parallel = &j->parallel;
    j->calibration.progress = &o->progress;
    ISGI_TRY(isgi_calibration_load(&j->calibration, j->graph, o->calibration, o->input,
                                   o->calibration_count ? o->calibration_count : DEFAULT_CALIBRATION, err));
    images = j->calibration.count * j->calibration.size * sizeof(float);
    if (o->max_memory) room = o->max_memory > least + images ? o->max_memory - least - images : 0;
    return isgi_calibrate_moments(&j->layers, j->graph, &j->calibration, room, err);
}

static isg_status prepare_job(job *j, isg_error *err)
{
    const isg_compress_options *o = j->options;
    uint64_t least;
    ISGI_TRY(isg_pool_create(&j->pool, o->threads, err));
    j->parallel = isg_pool_parallel(j->pool);
    ISGI_TRY(isgi_layers_collect(&j->layers, j->graph, err));
    j->dense_bytes = dense_bytes(j->graph);
    j->fixed = isgi_calloc(j->layers.count, 1);
    j->made = isgi_calloc(j->layers.count, sizeof(isg_factors *));
    if (!j->fixed || !j->made) return isgi_nomem(err);
    least = least_bytes(j);
    if (o->max_memory && least > o->max_memory)
        return isgi_fail(err, ISG_E_LIMIT, "compressing takes %llu bytes at least, more than the %llu allowed",
                         (unsigned long long)least, (unsigned long long)o->max_memory);
    return o->calibration ? calibrate(j, least, err) : ISG_OK;
}

isg_status isg_compress(isg_graph *g, const isg_compress_options *options, isg_compress_report *report, isg_error *err)
{
    job j = {0};
    isg_compress_report made = {0};
    isg_status status;
    int compensate;
    if (!g || !options || !report)
        return isgi_fail(err, ISG_E_ARG, "compress: a graph, options and a report are needed");
    ISGI_TRY(check_options(options, err));
    ISGI_TRY(isgi_graph_untie(g, err)); /* a bias changes with its own layer only */
    j.graph = g;
    j.options = options;
    status = prepare_job(&j, err);
    if (status == ISG_OK) status = decide(&j, err);
    if (status == ISG_OK && !options->dry_run) status = factorise_all(&j, err);
    if (status == ISG_OK) status = fill_report(&made, &j, err);
    compensate = j.calibration.count && options->compensate && !options->dry_run;
    if (status == ISG_OK && compensate) {
        status = isgi_calibrate_means(&j.layers, g, &j.calibration, COMPENSATION_ITEMS, err);
    }
    if (status == ISG_OK && !options->dry_run) attach(&j);
    if (status == ISG_OK && compensate) {
        status = isgi_compensate_biases(&j.layers, g, &j.calibration, COMPENSATION_ITEMS, err);
    }
    if (status == ISG_OK)
        *report = made;
    else
        isg_compress_report_clear(&made);
    job_clear(&j);
    return status;
}
