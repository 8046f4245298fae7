/* SPDX-License-Identifier: Apache-2.0 */
/* Recipes, overrides and the selection under a budget, on a small convolutional net made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <insitu/compress.h>
#include <insitu/memory.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compress/layers.h"
#include "compress/recipe.h"
#include "compress/search.h"
#include "host/alloc.h"

/* x[1,4,6,6] -> "first" 3x3 4->8 -> "second" 1x1 8->6, weights from a fixed sequence. */
static isg_graph *small_net(void)
{
    const int64_t in[4] = {ISG_DIM_BATCH, 4, 6, 6}, w1[4] = {8, 4, 3, 3}, w2[4] = {6, 8, 1, 1};
    isg_graph *g;
    isg_tensor *t[2];
    int32_t v[5], ins[2], outs[1];
    uint32_t state = 7;
    assert_int_equal(isg_graph_create(&g, NULL), ISG_OK);
    assert_int_equal(isg_tensor_create(&t[0], ISG_DT_F32, 4, w1, NULL), ISG_OK);
    assert_int_equal(isg_tensor_create(&t[1], ISG_DT_F32, 4, w2, NULL), ISG_OK);
    for (int k = 0; k < 2; k++) {
        for (int64_t i = 0; i < t[k]->count; i++) {
            state = state * 1664525u + 1013904223u;
            ((float *)t[k]->data)[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
        }
    }
    v[0] = isg_graph_add_value(g, "x", ISG_DT_F32, 4, in);
    v[1] = isg_graph_add_constant(g, "w1", t[0]);
    v[2] = isg_graph_add_value(g, "h", ISG_DT_F32, -1, NULL);
    v[3] = isg_graph_add_constant(g, "w2", t[1]);
    v[4] = isg_graph_add_value(g, "y", ISG_DT_F32, -1, NULL);
    for (int k = 0; k < 2; k++) {
        int32_t node;
        isg_conv_attr *a;
        ins[0] = v[2 * k];
        ins[1] = v[2 * k + 1];
        outs[0] = v[2 * k + 2];
        node = isg_graph_add_node(g, ISG_OP_CONV, k ? "second" : "first", ins, 2, outs, 1);
        assert_true(node >= 0);
        a = &g->nodes[node].attr.conv;
        a->n = 2;
        a->groups = 1;
        for (int d = 0; d < 2; d++) {
            a->kernel[d] = k ? 1 : 3;
            a->stride[d] = a->dilation[d] = 1;
            a->pads[d] = a->pads[d + 2] = k ? 0 : 1;
        }
    }
    g->inputs = realloc(NULL, sizeof *g->inputs);
    g->outputs = realloc(NULL, sizeof *g->outputs);
    g->inputs[0] = v[0];
    g->outputs[0] = v[4];
    g->input_count = g->output_count = 1;
    g->opset = 13;
    assert_int_equal(isg_graph_prepare(g, NULL), ISG_OK);
    return g;
}

static void recipe_cases(void **state)
{
    static const struct {
        const char *text;
        isg_status status;
    } cases[] = {
        {"{\"insitu_recipe\":1,\"layers\":[]}", ISG_OK},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bi\":2,\"bo\":3,\"bits\":[3,6,3]}]}", ISG_OK},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"none\",\"keep\":true}]}", ISG_E_ARG},
        {"{\"insitu_recipe\":2,\"layers\":[]}", ISG_E_VERSION},
        {"{\"layers\":[]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[3]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bits\":[3,9,3]}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bi\":1.5}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bi\":-1}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"rank\":1}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"bi\":1}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[],\"layer\":[]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[],\"layers\":[]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bi\":2}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"keep\":true,\"bi\":2}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"bits\":[3,6,3],\"bits\":[3,6,3]}]}", ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[{\"name\":\"first\",\"keep\":true},{\"name\":\"first\",\"keep\":true}]}",
         ISG_E_FORMAT},
        {"{\"insitu_recipe\":1,\"layers\":[]} tail", ISG_E_FORMAT},
        {"", ISG_E_FORMAT},
        {"[", ISG_E_FORMAT},
    };
    isg_graph *g = small_net();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        isgi_layers layers;
        isg_error err = {0};
        assert_int_equal(isgi_layers_collect(&layers, g, &err), ISG_OK);
        assert_int_equal(isgi_recipe_apply(&layers, cases[i].text, &err), cases[i].status);
        if (cases[i].status != ISG_OK) assert_true(err.message[0] != '\0');
        isgi_layers_clear(&layers);
    }
    isg_graph_destroy(g);
}

/* Numbers that no option can have. */
static void options_out_of_range(void **state)
{
    isg_graph *g = small_net();
    isg_compress_report report;
    isg_compress_options o;
    (void)state;
    isg_compress_options_default(&o);
    o.target_ratio = (double)NAN;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_E_ARG);
    isg_compress_options_default(&o);
    o.target_paper_ratio = (double)NAN;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_E_ARG);
    o.target_paper_ratio = o.target_ratio = 0.5;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_E_ARG);
    isg_compress_options_default(&o);
    o.bi = o.bo = 2;
    o.fc_bits = 260;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_E_ARG);
    isg_graph_destroy(g);
}

/* Entries of one name mean the layers that bear it, in their order. */
static void recipe_namesakes(void **state)
{
    static const char text[] = "{\"insitu_recipe\":1,\"layers\":[{\"name\":\"same\",\"bits\":[2,2,2]},"
                               "{\"name\":\"same\",\"bits\":[5,5,5]}]}";
    isg_graph *g = small_net();
    isgi_layers layers;
    isg_error err = {0};
    (void)state;
    assert_int_equal(isgi_layers_collect(&layers, g, &err), ISG_OK);
    assert_int_equal(layers.count, 2);
    layers.items[0].name = layers.items[1].name = "same";
    assert_int_equal(isgi_recipe_apply(&layers, text, &err), ISG_OK);
    assert_int_equal(layers.items[0].choice.bits_b, 2);
    assert_int_equal(layers.items[1].choice.bits_b, 5);
    isgi_layers_clear(&layers);
    isg_graph_destroy(g);
}

static void recipe_round_trip(void **state)
{
    isg_graph *g = small_net();
    isgi_layers a, b;
    char *text, *again;
    (void)state;
    assert_int_equal(isgi_layers_collect(&a, g, NULL), ISG_OK);
    assert_int_equal(a.count, 2);
    a.items[0].choice = (isg_layer_choice){2, 3, 3, 6, 3, ISG_QUANT_PAPER};
    a.items[1].keep = 1;
    assert_int_equal(isgi_recipe_write(&text, &a, NULL), ISG_OK);
    assert_int_equal(isgi_layers_collect(&b, g, NULL), ISG_OK);
    assert_int_equal(isgi_recipe_apply(&b, text, NULL), ISG_OK);
    assert_int_equal(isgi_recipe_write(&again, &b, NULL), ISG_OK);
    assert_string_equal(text, again);
    isg_free(text);
    isg_free(again);
    isgi_layers_clear(&a);
    isgi_layers_clear(&b);
    isg_graph_destroy(g);
}

static void overrides(void **state)
{
    static const struct {
        isg_layer_override o;
        isg_status status;
        uint8_t fixed[2];
    } cases[] = {
        {{"first", "keep"}, ISG_OK, {1, 0}},      {{".*", "bits=4"}, ISG_OK, {1, 1}},
        {{"^sec", "0,3,8,8,8"}, ISG_OK, {0, 1}},  {{"first", "2,3,3,6,3"}, ISG_OK, {1, 0}},
        {{"third", "keep"}, ISG_E_ARG, {0, 0}},   {{"(", "keep"}, ISG_E_ARG, {0, 0}},
        {{"first", "bits=9"}, ISG_E_ARG, {0, 0}}, {{"first", "2,3"}, ISG_E_ARG, {0, 0}},
        {{"first", ""}, ISG_E_ARG, {0, 0}},       {{"first", "2,3,0,6,3"}, ISG_E_ARG, {1, 0}},
    };
    isg_graph *g = small_net();
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        isgi_layers layers;
        uint8_t fixed[2] = {0, 0};
        assert_int_equal(isgi_layers_collect(&layers, g, NULL), ISG_OK);
        assert_int_equal(isgi_override_apply(&layers, &cases[i].o, ISG_QUANT_MIDTREAD, fixed, NULL), cases[i].status);
        assert_memory_equal(fixed, cases[i].fixed, 2);
        isgi_layers_clear(&layers);
    }
    isg_graph_destroy(g);
}

/* Three candidates a layer; every selection within budget is enumerated and the search must not be far from the best.
 */
static void selection_meets_budget(void **state)
{
    isgi_candidate items[2][3] = {
        {{{0, 0, 2, 2, 2, 2}, 100, 0.5}, {{0, 0, 4, 4, 4, 2}, 200, 0.1}, {{0, 0, 8, 8, 8, 2}, 400, 0.01}},
        {{{0, 0, 2, 2, 2, 2}, 50, 0.4}, {{0, 0, 4, 4, 4, 2}, 100, 0.2}, {{0, 0, 8, 8, 8, 2}, 200, 0.02}}};
    isgi_candidates sets[2] = {{items[0], 3}, {items[1], 3}};
    isg_graph *g = small_net();
    isgi_layers layers;
    (void)state;
    assert_int_equal(isgi_layers_collect(&layers, g, NULL), ISG_OK);
    layers.items[0].sensitivity = 1.0;
    layers.items[1].sensitivity = 3.0;
    assert_int_equal(isgi_search_select(&layers, sets, 149, NULL), ISG_E_TARGET);
    for (uint64_t budget = 150; budget <= 700; budget += 25) {
        double best = 1e9, got = 0.0;
        uint64_t bits = 0;
        assert_int_equal(isgi_search_select(&layers, sets, budget, NULL), ISG_OK);
        for (int l = 0; l < 2; l++) {
            for (int k = 0; k < 3; k++) {
                if (items[l][k].choice.bits_b != layers.items[l].choice.bits_b) continue;
                bits += items[l][k].bits;
                got += layers.items[l].sensitivity * items[l][k].error;
            }
        }
        for (int a = 0; a < 3; a++) {
            for (int b = 0; b < 3; b++) {
                const double cost = items[0][a].error + 3.0 * items[1][b].error;
                if (items[0][a].bits + items[1][b].bits <= budget && cost < best) best = cost;
            }
        }
        assert_true(bits <= budget);
        assert_true(got <= 1.5 * best + 1e-12);
    }
    isgi_layers_clear(&layers);
    isg_graph_destroy(g);
}

static void candidates_do_not_depend_on_order(void **state)
{
    isg_graph *g = small_net();
    isgi_layers layers;
    isgi_candidates *a = calloc(2, sizeof *a);
    (void)state;
    assert_int_equal(isgi_layers_collect(&layers, g, NULL), ISG_OK);
    assert_int_equal(isgi_search_candidates(a, &layers, 4.0, 1, NULL, NULL, NULL), ISG_OK);
    for (int l = 0; l < 2; l++) {
        assert_true(a[l].count >= 4);
        for (uint32_t i = 1; i < a[l].count; i++) {
            assert_true(a[l].items[i].bits > a[l].items[i - 1].bits);
            assert_true(a[l].items[i].error < a[l].items[i - 1].error);
        }
        assert_true(a[l].items[a[l].count - 1].error < 1e-3);
    }
    for (int l = 0; l < 2; l++) isg_free(a[l].items);
    free(a);
    isgi_layers_clear(&layers);
    isg_graph_destroy(g);
}

typedef struct visits {
    uint32_t order[4], count, fails;
    uint64_t done;
} visits;

static isg_status visit_layer(void *user, isgi_layer_turn *turn, isg_error *err)
{
    visits *v = user;
    isgi_layer_advance(turn, 0.5);
    v->order[v->count++] = turn->index;
    return v->fails >> turn->index & 1u ? isgi_fail(err, ISG_E_NUMERIC, "layer %u", turn->index) : ISG_OK;
}

static void count_progress(void *user, const char *stage, uint64_t done, uint64_t total, const char *text)
{
    visits *v = user;
    assert_string_equal(stage, "stage");
    assert_true(done >= v->done);
    assert_int_equal(total, 100);
    assert_string_equal(text, "name");
    v->done = done;
}

static void layers_that_take_longest_first(void **state)
{
    isgi_layer items[4] = {{.rows = 9, .cols = 8, .name = "name"},
                           {.rows = 90, .cols = 80, .name = "name", .keep = 1},
                           {.rows = 27, .cols = 8, .name = "name"},
                           {.rows = 9, .cols = 8, .name = "name"}};
    const isgi_layers layers = {items, 4};
    visits v = {.count = 0};
    const isg_progress progress = {.report = count_progress, .user = &v};
    isg_error err;
    (void)state;
    assert_int_equal(isgi_layers_each(&layers, visit_layer, &v, "stage", NULL, &progress, &err), ISG_OK);
    assert_int_equal(v.count, 3);
    assert_int_equal(v.done, 100);
    assert_true(v.order[0] == 2 && v.order[1] == 0 && v.order[2] == 3);
    v = (visits){.fails = 5};
    assert_int_equal(isgi_layers_each(&layers, visit_layer, &v, "stage", NULL, NULL, &err), ISG_E_NUMERIC);
    assert_string_equal(err.message, "layer 0");
}

/* Weights so small or so large that binary16 would not hold their steps lose no more by their bits than others. */
static void scales_fit_any_weight(void **state)
{
    static const float times[] = {1.0f, 1e-9f, 1e9f};
    static const isg_layer_choice choices[] = {
        {.bits_b = 8, .family = ISG_QUANT_MIDTREAD},
        {.bi = 2, .bo = 4, .bits_b = 5, .bits_u = 8, .bits_v = 5, .family = ISG_QUANT_MIDTREAD}};
    double error[2] = {0, 0};
    (void)state;
    for (size_t t = 0; t < sizeof times / sizeof *times; t++) {
        isg_graph *g = small_net();
        isg_tensor *w = g->values[g->nodes[0].inputs[1]].constant;
        isgi_layers layers;
        for (int64_t i = 0; i < w->count; i++) ((float *)w->data)[i] *= times[t];
        assert_int_equal(isgi_layers_collect(&layers, g, NULL), ISG_OK);
        assert_int_equal(layers.items[0].scale_bits, t ? 32 : 16);
        for (size_t c = 0; c < 2; c++) {
            isg_factors *f;
            isg_factor_report report = {0};
            assert_int_equal(isgi_layer_factors(&f, &layers.items[0], &choices[c], NULL), ISG_OK);
            assert_int_equal(isgi_layer_fit(f, &layers.items[0], ISG_FACTOR_ALS, 1, NULL, &report, NULL), ISG_OK);
            if (!t) error[c] = report.weight_error;
            assert_true(fabs(report.weight_error - error[c]) <= 0.1 * error[c]);
            isg_factors_destroy(f);
        }
        isgi_layers_clear(&layers);
        isg_graph_destroy(g);
    }
}

/* Where few bits a weight are asked for, there are ranks that need no more. */
static void low_rates_have_candidates(void **state)
{
    float weights[64 * 64 * 9];
    isgi_layer layer = {.name = "l",
                        .co = 64,
                        .ci = 64,
                        .kh = 3,
                        .kw = 3,
                        .groups = 1,
                        .scale_bits = 16,
                        .rows = 576,
                        .cols = 64,
                        .hwio = weights};
    isgi_layers layers = {&layer, 1};
    uint64_t least[2];
    uint32_t number = 5;
    (void)state;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        number = number * 1664525u + 1013904223u;
        weights[i] = (float)(number >> 8) / 8388608.0f - 1.0f;
    }
    for (int low = 0; low < 2; low++) {
        isgi_candidates *set = calloc(1, sizeof *set);
        assert_int_equal(isgi_search_candidates(set, &layers, low ? 0.1 : 1.0, 1, NULL, NULL, NULL), ISG_OK);
        least[low] = set->items[0].bits;
        isg_free(set->items);
        free(set);
    }
    assert_true(3 * least[1] < 2 * least[0]);
    assert_true((double)least[1] < 0.1 * 64 * 576);
}

static void shared_weight_is_listed_once(void **state)
{
    isg_graph *g = small_net();
    isgi_layers layers;
    (void)state;
    g->nodes[1].inputs[1] = g->nodes[0].inputs[1];
    assert_int_equal(isgi_layers_collect(&layers, g, NULL), ISG_OK);
    assert_int_equal(layers.count, 1);
    isgi_layers_clear(&layers);
    isg_graph_destroy(g);
}

/* small_net() with the layers that match `regex` rounded to 3 bits and, for them, a bias that the net had not. */
static isg_graph *rounded_net(const char *regex, const char *biased)
{
    const isg_layer_override override = {regex, "bits=3"};
    const int64_t dims[1] = {8};
    isg_graph *g = small_net();
    isg_compress_report report = {0};
    isg_compress_options o;
    isg_compress_options_default(&o);
    o.overrides = &override;
    o.override_count = 1;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_OK);
    isg_compress_report_clear(&report);
    if (biased) {
        isg_tensor *bias;
        int32_t value;
        assert_int_equal(isg_tensor_create(&bias, ISG_DT_F32, 1, dims, NULL), ISG_OK);
        for (int i = 0; i < 8; i++) ((float *)bias->data)[i] = 0.25f * (float)(i + 1);
        value = isg_graph_add_constant(g, biased, bias);
        assert_true(value >= 0);
        g->nodes[0].inputs = realloc(g->nodes[0].inputs, 3 * sizeof *g->nodes[0].inputs);
        g->nodes[0].inputs[2] = value;
        g->nodes[0].input_count = 3;
    }
    return g;
}

static void run_model(float y[216], const isg_model *m)
{
    float x[144];
    const float *inputs[1] = {x};
    float *outputs[1] = {y};
    isg_session *session;
    for (int i = 0; i < 144; i++) x[i] = (float)(i * 37 % 101) / 50.0f - 1.0f;
    assert_int_equal(isg_session_create(&session, m, NULL, NULL), ISG_OK);
    assert_int_equal(isg_session_run(session, inputs, outputs, NULL), ISG_OK);
    isg_session_destroy(session);
}

/* One layer of the compressed form in the original, its bias included, is that layer compressed alone; what was asked
 * before does not matter. */
static void one_layer_swapped(void **state)
{
    isg_graph *graphs[4] = {small_net(), rounded_net(".", "b"), rounded_net("first", "b"), rounded_net("second", NULL)};
    isg_model *models[4], *made;
    isg_layer_swap *swap;
    isg_error err = {0};
    float want[216], got[216];
    (void)state;
    for (int i = 0; i < 4; i++) assert_int_equal(isg_model_from_graph(&models[i], graphs[i], NULL), ISG_OK);
    assert_int_equal(isg_layer_swap_create(&swap, models[0], models[1], &err), ISG_OK);
    assert_int_equal(isg_layer_swap_count(swap), 2);
    assert_string_equal(isg_layer_swap_report(swap, 0)->name, "first");
    assert_int_equal(isg_layer_swap_report(swap, 0)->choice.bits_b, 3);
    assert_int_equal(isg_layer_swap_report(swap, 0)->bytes, 288 * 3 / 8 + 8 * 2);
    assert_true(isg_layer_swap_report(swap, 0)->weight_error > 1e-4);
    assert_true(isg_layer_swap_report(swap, 0)->weight_error < 0.1);
    for (uint32_t layer = 0; layer < 4; layer++) {
        run_model(want, models[2 + layer % 2]);
        assert_int_equal(isg_layer_swap_model(&made, swap, layer % 2, &err), ISG_OK);
        run_model(got, made);
        isg_model_close(made);
        assert_memory_equal(want, got, sizeof want);
    }
    assert_int_equal(isg_layer_swap_model(&made, swap, 2, &err), ISG_E_ARG);
    isg_layer_swap_destroy(swap);
    /* the other way round a bias is lost, and nothing is kept as plain numbers */
    assert_int_equal(isg_layer_swap_create(&swap, models[2], models[0], &err), ISG_OK);
    assert_true(isg_layer_swap_report(swap, 0)->kept);
    assert_int_equal(isg_layer_swap_model(&made, swap, 0, &err), ISG_OK);
    run_model(want, models[0]);
    run_model(got, made);
    assert_memory_equal(want, got, sizeof want);
    isg_model_close(made);
    isg_layer_swap_destroy(swap);
    for (int i = 0; i < 4; i++) {
        isg_model_close(models[i]);
        isg_graph_destroy(graphs[i]);
    }
}

/* Networks that are not two forms of one are told apart by their layers' names and shapes. */
static void swap_of_strangers(void **state)
{
    isg_graph *g = small_net(), *other = small_net();
    isg_model *a, *b;
    isg_layer_swap *swap;
    isg_error err = {0};
    (void)state;
    memcpy(other->nodes[1].name, "secund", 6);
    assert_int_equal(isg_model_from_graph(&a, g, NULL), ISG_OK);
    assert_int_equal(isg_model_from_graph(&b, other, NULL), ISG_OK);
    assert_int_equal(isg_layer_swap_create(&swap, a, b, &err), ISG_E_ARG);
    assert_non_null(strstr(err.message, "second"));
    assert_null(swap);
    isg_model_close(b);
    memcpy(other->nodes[1].name, "first", 6);
    memcpy(other->nodes[0].name, "none", 5);
    assert_int_equal(isg_model_from_graph(&b, other, NULL), ISG_OK);
    assert_int_equal(isg_layer_swap_create(&swap, a, b, &err), ISG_E_ARG);
    assert_non_null(strstr(err.message, "'first' differs in shape"));
    isg_model_close(b);
    isg_model_close(a);
    isg_graph_destroy(g);
    isg_graph_destroy(other);
}

static int cancel_when(void *user)
{
    int *left = user;
    return (*left)-- <= 0;
}

/* Every method hears a caller that says stop in the middle of a layer: there are two of them here. */
static void stopped_within_a_layer(void **state)
{
    static const uint32_t methods[] = {ISG_FACTOR_ALS, ISG_FACTOR_L2};
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        isg_graph *g = small_net();
        isg_compress_report report;
        isg_compress_options o;
        int left = 1;
        isg_compress_options_default(&o);
        o.bi = o.bo = 2;
        o.threads = 1;
        o.method = methods[i];
        o.progress.cancelled = cancel_when;
        o.progress.user = &left;
        assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_E_CANCELLED);
        assert_int_equal(left, -2); /* no, then yes within the first layer, and again before the second */
        isg_graph_destroy(g);
    }
}

/* Reports hold names whole, so that they can be given back. */
static void long_names_stay_whole(void **state)
{
    isg_graph *g = small_net();
    isg_compress_report report = {0};
    isg_compress_options o;
    char *name = malloc(301);
    (void)state;
    assert_non_null(name);
    memset(name, 'n', 300);
    name[300] = '\0';
    isg_free(g->nodes[0].name);
    g->nodes[0].name = isgi_strdup(name);
    isg_compress_options_default(&o);
    o.bi = o.bo = 2;
    o.dry_run = 1;
    assert_int_equal(isg_compress(g, &o, &report, NULL), ISG_OK);
    assert_string_equal(report.layers[0].name, name);
    isg_compress_report_clear(&report);
    isg_graph_destroy(g);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipe_cases),
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(recipe_namesakes),
        cmocka_unit_test(recipe_round_trip),
        cmocka_unit_test(overrides),
        cmocka_unit_test(selection_meets_budget),
        cmocka_unit_test(candidates_do_not_depend_on_order),
        cmocka_unit_test(scales_fit_any_weight),
        cmocka_unit_test(low_rates_have_candidates),
        cmocka_unit_test(shared_weight_is_listed_once),
        cmocka_unit_test(one_layer_swapped),
        cmocka_unit_test(swap_of_strangers),
        cmocka_unit_test(layers_that_take_longest_first),
        cmocka_unit_test(stopped_within_a_layer),
        cmocka_unit_test(long_names_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
