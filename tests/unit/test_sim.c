/* SPDX-License-Identifier: Apache-2.0 */
/* Networks and evaluation: known counts of ResNet-18, where generation pays, and what every result must satisfy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <insitu/sim.h>
#include <insitu/train.h>

#include "host/alloc.h"

static isg_graph *resnet; /* CIFAR form, prepared */

static int build_resnet(void **state)
{
    isg_error err;
    (void)state;
    if (isg_arch_build(&resnet, "resnet18", 3, 32, 32, 10, 1, &err) != ISG_OK) return 1;
    return isg_graph_prepare(resnet, &err) != ISG_OK;
}

static int destroy_resnet(void **state)
{
    (void)state;
    isg_graph_destroy(resnet);
    return 0;
}

static isg_sim_profile *load(const char *name)
{
    isg_sim_profile *p = NULL;
    isg_error err;
    if (isg_sim_profile_load(&p, name, &err) != ISG_OK) fail_msg("%s", err.message);
    return p;
}

static isg_sim_network *network(const isg_sim_form *form)
{
    isg_sim_network *n = NULL;
    isg_error err;
    if (isg_sim_network_from_graph(&n, resnet, form, &err) != ISG_OK) fail_msg("%s", err.message);
    return n;
}

static isg_sim_report *evaluate(const isg_sim_network *n, const isg_sim_profile *p, isg_sim_mode mode, uint32_t batch)
{
    const isg_sim_options options = {sizeof options, batch, mode};
    isg_sim_report *r = NULL;
    isg_error err;
    if (isg_sim_evaluate(&r, n, p, &options, &err) != ISG_OK) fail_msg("%s", err.message);
    return r;
}

static const isg_sim_form factored = {sizeof(isg_sim_form), 2, 44, 0, 3, 6, 3, 8, 8, 16, 32, 0};
static const isg_sim_form dense = ISG_SIM_FORM_INIT;

static void check_near(const char *what, double got, double want, double relative)
{
    if (!(fabs(got - want) <= relative * fabs(want))) fail_msg("%s: %.9g, expected %.9g", what, got, want);
}

/* ---- RELATED section 3.4 ---- */

/* Bytes of the convolutions' weights: dense, or codes of the factors. */
static double conv_bytes(const isg_sim_network *n, int whole)
{
    double bytes = 0;
    for (uint32_t i = 0; i < n->layer_count; i++) {
        const isg_sim_layer *l = &n->layers[i];
        if (l->out_pixels == 1 && l->taps == 1) continue;
        if (whole)
            bytes += l->dense_bytes;
        else
            bytes += l->bytes[ISG_SIM_BASIS] + l->bytes[ISG_SIM_U] + l->bytes[ISG_SIM_V] + l->bytes[ISG_SIM_WEIGHT];
    }
    return bytes;
}

static void test_counts_of_resnet18(void **state)
{
    static const double dram[3] = {8, 3.9, 70}, int8[3] = {715, 348, 6255}, mlg[3] = {20.2, 9.8, 176};
    isg_sim_profile *p = load("digital45_lpddr4");
    isg_sim_network *n = network(&factored);
    isg_sim_report *generate = evaluate(n, p, ISG_SIM_GENERATE, 1), *half = evaluate(n, p, ISG_SIM_HALF, 1),
                   *none = evaluate(n, p, ISG_SIM_FACTORED, 1);
    (void)state;
    assert_int_equal(n->layer_count, 21);
    assert_true(conv_bytes(n, 1) == 11159232);
    check_near("factor KiB", conv_bytes(n, 0) / 1024, 307.5, 1e-3);
    for (int i = 0; i < 3; i++) {
        check_near("int8 uJ", conv_bytes(n, 1) * 8 * dram[i] / 1e6, int8[i], 2e-3);
        check_near("(2,44) uJ", conv_bytes(n, 0) * 8 * dram[i] / 1e6, mlg[i], 5e-3);
    }
    check_near("multiply-adds", generate->total.dense_macs / 1e6, 555.4, 1e-4);
    check_near("generation", (generate->total.generation1 + generate->total.generation2) / 1e6, 493.6, 1e-4);
    check_near("half", (half->total.macs + half->total.generation1 + half->total.generation2) / 1e6, 213.2, 1e-3);
    check_near("factored", none->total.macs / 1e6, 79.6, 1e-3);
    assert_true(none->total.generation1 == 0 && none->total.generation2 == 0);
    assert_true(half->total.generation2 == 0);
    isg_sim_report_destroy(generate);
    isg_sim_report_destroy(half);
    isg_sim_report_destroy(none);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
}

/* With arithmetic and DRAM alone, generation pays above 1.3 pJ a bit at 0.23 pJ a multiply-add. */
static void test_break_even_of_arithmetic(void **state)
{
    static const char *const silent[] = {"tiers.weights.read", "tiers.weights.write", "tiers.activations.read",
                                         "tiers.activations.write", "engine.accumulate"};
    isg_sim_profile *p = load("digital45_lpddr4");
    isg_sim_form coded = factored, plain = dense;
    isg_sim_network *with, *without;
    isg_sim_break_even b;
    isg_error err;
    (void)state;
    coded.scale_bits = coded.bias_bits = plain.scale_bits = plain.bias_bits = 0;
    with = network(&coded);
    without = network(&plain);
    assert_int_equal(isg_sim_find_break_even(&b, with, ISG_SIM_GENERATE, without, ISG_SIM_DENSE, p, 1, &err), ISG_OK);
    assert_true(b.pj_per_bit > 1.3); /* buffers cost too */
    for (size_t i = 0; i < sizeof silent / sizeof *silent; i++)
        assert_int_equal(isg_sim_profile_set(p, silent[i], 0, &err), ISG_OK);
    assert_int_equal(isg_sim_find_break_even(&b, with, ISG_SIM_GENERATE, without, ISG_SIM_DENSE, p, 1, &err), ISG_OK);
    assert_string_equal(b.tier, "dram");
    assert_int_equal(b.pays, 0);
    check_near("break-even", b.pj_per_bit, 44 * 0.23 / (8 * (1 - 0.226 / 8)), 0.02);
    /* What it says is true: at that energy both cost the same, above it generation is cheaper. */
    assert_int_equal(isg_sim_profile_set(p, "tiers.dram.read", b.pj_per_bit, &err), ISG_OK);
    {
        isg_sim_report *a = evaluate(with, p, ISG_SIM_GENERATE, 1), *c = evaluate(without, p, ISG_SIM_DENSE, 1);
        check_near("equal energies", a->total.total_pj.typical, c->total.total_pj.typical, 1e-9);
        isg_sim_report_destroy(a);
        isg_sim_report_destroy(c);
    }
    /* Nothing is generated in mode factored: it wins at any energy. */
    assert_int_equal(isg_sim_find_break_even(&b, with, ISG_SIM_FACTORED, without, ISG_SIM_DENSE, p, 1, &err), ISG_OK);
    assert_int_equal(b.pays, 1);
    isg_sim_network_destroy(with);
    isg_sim_network_destroy(without);
    isg_sim_profile_destroy(p);
}

/* ---- what every result satisfies ---- */

static void check_band(const char *profile, const char *what, const isg_sim_band *b)
{
    if (!(isfinite(b->low) && isfinite(b->high) && b->low >= 0 && b->low <= b->typical * (1 + 1e-12) &&
          b->typical <= b->high * (1 + 1e-12)))
        fail_msg("%s: %s is %g, %g, %g", profile, what, b->low, b->typical, b->high);
}

static void check_result(const char *profile, const isg_sim_result *o)
{
    double sum = 0;
    for (int i = 0; i < ISG_SIM_CAUSES; i++) {
        check_band(profile, isg_sim_cause_name((isg_sim_cause)i), &o->energy_pj[i]);
        sum += o->energy_pj[i].typical;
    }
    for (int i = 0; i < ISG_SIM_TERMS; i++) check_band(profile, isg_sim_term_name((isg_sim_term)i), &o->time_ns[i]);
    check_band(profile, "energy", &o->total_pj);
    check_band(profile, "latency", &o->latency_ns);
    check_band(profile, "serial time", &o->serial_ns);
    check_near("sum of causes", sum, o->total_pj.typical, 1e-9);
    assert_true(o->latency_ns.typical <= o->serial_ns.typical * (1 + 1e-12));
    assert_true(o->latency_ns.typical > 0 && o->macs > 0);
    assert_true((o->far_bytes > 0) == (o->intensity > 0));
}

static int runs_factored(const isg_sim_profile *p, isg_sim_mode mode)
{
    return isg_sim_profile_engine(p) != ISG_SIM_SPIKING || (mode != ISG_SIM_HALF && mode != ISG_SIM_FACTORED);
}

static void check_profile(const isg_sim_profile *p, const isg_sim_network *n, uint32_t batch)
{
    double best = INFINITY, automatic = 0;
    for (int mode = ISG_SIM_AUTO; mode <= ISG_SIM_RESIDENT; mode++) {
        const char *name = isg_sim_profile_name(p);
        isg_sim_report *r;
        double layers = 0;
        if (!runs_factored(p, (isg_sim_mode)mode)) continue;
        r = evaluate(n, p, (isg_sim_mode)mode, batch);
        for (uint32_t i = 0; i < r->layer_count; i++) {
            check_result(name, &r->layers[i]);
            layers += r->layers[i].total_pj.typical;
        }
        check_result(name, &r->total);
        check_near("sum of layers", layers, r->total.total_pj.typical, 1e-9);
        check_band(name, "load", &r->load_pj);
        assert_true(r->resident_bytes >= 0);
        if (mode == ISG_SIM_AUTO)
            automatic = r->total.total_pj.typical;
        else if (mode <= ISG_SIM_FACTORED)
            best = fmin(best, r->total.total_pj.typical);
        isg_sim_report_destroy(r);
    }
    /* Cells change what fits when modes mix, so only there may the choice miss the best single mode. */
    if (isg_sim_profile_engine(p) == ISG_SIM_SYSTOLIC || isg_sim_profile_engine(p) == ISG_SIM_MRR)
        assert_true(automatic <= best * (1 + 1e-9));
}

static void test_every_profile_and_mode(void **state)
{
    const char *const *names = NULL;
    isg_sim_network *n = network(&factored), *fc = NULL;
    uint32_t count = 0;
    isg_error err;
    (void)state;
    assert_int_equal(isg_sim_network_create(&fc, "fc", 1, &err), ISG_OK);
    fc->layers[0] =
        (isg_sim_layer){.name = "fc", .groups = 1, .ci = 784, .co = 128, .taps = 1, .in_pixels = 1, .out_pixels = 1};
    assert_int_equal(isg_sim_layer_finish(&fc->layers[0], &dense, &err), ISG_OK);
    fc->timesteps = 8;
    assert_int_equal(isg_sim_profile_list(&names, &count, &err), ISG_OK);
    for (uint32_t i = 0; i < count; i++) {
        isg_sim_profile *p = load(names[i]);
        check_profile(p, fc, 1);
        if (strcmp(names[i], "spiker100") != 0) check_profile(p, n, i % 2 ? 1 : 16);
        isg_sim_profile_destroy(p);
    }
    isg_free((void *)(uintptr_t)names);
    isg_sim_network_destroy(fc);
    isg_sim_network_destroy(n);
}

/* ---- residency ---- */

static void test_buffers_and_tiers(void **state)
{
    isg_sim_profile *p = load("digital45_lpddr4"), *h = load("hetmem22_rram"), *ima = load("pcm_ima22");
    isg_sim_network *coded = network(&factored), *plain = network(&dense);
    isg_sim_report *one = evaluate(plain, p, ISG_SIM_DENSE, 1), *many = evaluate(plain, p, ISG_SIM_DENSE, 16), *r;
    isg_error err;
    (void)state;
    /* Weights move once a batch; activations of 16 images no longer fit and are read again where weights do not fit. */
    assert_false(one->total.notes & (ISG_SIM_NOTE_ACTIVATIONS_OUT | ISG_SIM_NOTE_INPUTS_AGAIN));
    assert_true(many->total.notes & ISG_SIM_NOTE_ACTIVATIONS_OUT);
    assert_true(many->total.notes & (ISG_SIM_NOTE_INPUTS_AGAIN | ISG_SIM_NOTE_WEIGHTS_AGAIN));
    assert_true(many->total.energy_pj[ISG_SIM_E_WEIGHTS].typical <
                16 * one->total.energy_pj[ISG_SIM_E_WEIGHTS].typical);
    /* The factors do fit, so nothing is read again. */
    r = evaluate(coded, p, ISG_SIM_GENERATE, 16);
    assert_false(r->total.notes & (ISG_SIM_NOTE_INPUTS_AGAIN | ISG_SIM_NOTE_WEIGHTS_AGAIN));
    assert_true(r->total.far_bytes < many->total.far_bytes);
    isg_sim_report_destroy(r);
    /* 2 MB of RRAM hold the factors and not the dense weights. */
    r = evaluate(plain, h, ISG_SIM_DENSE, 1);
    assert_true(r->total.notes & ISG_SIM_NOTE_SPILLED);
    assert_true(r->total.read_bytes[3][ISG_SIM_WEIGHT] > 0);
    isg_sim_report_destroy(r);
    r = evaluate(coded, h, ISG_SIM_GENERATE, 1);
    assert_false(r->total.notes & ISG_SIM_NOTE_SPILLED);
    assert_true(r->total.read_bytes[3][ISG_SIM_BASIS] == 0 && r->total.read_bytes[2][ISG_SIM_U] > 0);
    isg_sim_report_destroy(r);
    /* 34 PCM arrays hold the factors as matrices, but not W: W is programmed again in every run. */
    r = evaluate(coded, ima, ISG_SIM_FACTORED, 1);
    assert_false(r->total.notes & ISG_SIM_NOTE_REPROGRAMMED);
    assert_true(r->total.cell_writes == 0 && r->load_cell_writes > 0 && r->resident_bytes <= r->capacity_bytes);
    isg_sim_report_destroy(r);
    r = evaluate(coded, ima, ISG_SIM_RESIDENT, 1);
    assert_true(r->total.notes & ISG_SIM_NOTE_NOT_RESIDENT);
    assert_true(r->total.cell_writes > 0 && r->total.time_ns[ISG_SIM_T_PROGRAM].typical > 0);
    isg_sim_report_destroy(r);
    /* A machine whose buffer holds all of W needs the factors only once. */
    assert_int_equal(isg_sim_profile_set(p, "tiers.weights.size", 16384, &err), ISG_OK);
    r = evaluate(coded, p, ISG_SIM_RESIDENT, 1);
    assert_false(r->total.notes & ISG_SIM_NOTE_NOT_RESIDENT);
    assert_true(r->total.far_bytes == 0 && r->total.generation2 == 0 && r->load_pj.typical > 0);
    isg_sim_report_destroy(r);
    isg_sim_report_destroy(one);
    isg_sim_report_destroy(many);
    isg_sim_network_destroy(coded);
    isg_sim_network_destroy(plain);
    isg_sim_profile_destroy(p);
    isg_sim_profile_destroy(h);
    isg_sim_profile_destroy(ima);
}

/* Weights that stay analog are converted neither after generation nor before use; kept ones are. */
static void test_analog_and_digital_regeneration(void **state)
{
    isg_sim_profile *p = load("mrr_crosslight");
    isg_sim_network *n = NULL;
    isg_sim_report *analog, *plain, *kept;
    isg_error err;
    double weights;
    (void)state;
    assert_int_equal(isg_sim_network_create(&n, "one", 1, &err), ISG_OK);
    n->layers[0] =
        (isg_sim_layer){.name = "c", .groups = 1, .ci = 64, .co = 64, .taps = 9, .in_pixels = 64, .out_pixels = 64};
    assert_int_equal(isg_sim_layer_finish(&n->layers[0], &factored, &err), ISG_OK);
    analog = evaluate(n, p, ISG_SIM_GENERATE, 1);
    plain = evaluate(n, p, ISG_SIM_DENSE, 1);
    kept = evaluate(n, p, ISG_SIM_RESIDENT, 1);
    weights = 64 * 64 * 9;
    assert_true(analog->layers[0].adc == plain->layers[0].adc); /* none for what is generated */
    assert_true(kept->layers[0].dac == plain->layers[0].dac);
    assert_true(plain->layers[0].dac - 64 * 576 * 5 == weights);
    /* Level 1: 64 x 2 inputs for each of 44 kernels and their basis; level 2: V in tiles. */
    assert_true(analog->layers[0].dac == 64 * 576 * 5 + 44 * (64 * 2 + 2 * 9) + 44 * 64);
    isg_sim_report_destroy(analog);
    isg_sim_report_destroy(plain);
    isg_sim_report_destroy(kept);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
}

/* ---- where networks come from ---- */

static void fill(isg_factor *f, uint8_t bits)
{
    isg_error err;
    f->quant = (isg_quant_spec){bits, ISG_QUANT_MIDTREAD, 1, 16};
    for (uint32_t i = 0; i < f->rows * f->cols; i++) f->master[i] = (float)(i % 7) / 7 - 0.4f;
    if (f->rows) assert_int_equal(isg_factor_fit_scale(f, &err), ISG_OK);
}

/* A small network with one factored convolution, read as a graph and as the packed model. */
static void test_graph_and_model_agree(void **state)
{
    isg_graph *g = NULL;
    isg_model *m = NULL;
    isg_sim_network *a = NULL, *b = NULL;
    isg_error err;
    int factors = 0;
    (void)state;
    assert_int_equal(isg_arch_build(&g, "fig5a", 1, 28, 28, 10, 1, &err), ISG_OK);
    assert_int_equal(isg_graph_prepare(g, &err), ISG_OK);
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_value *w = g->node_count && g->nodes[i].op == ISG_OP_CONV ? &g->values[g->nodes[i].inputs[1]] : NULL;
        if (!w || w->dims[1] != 32 || factors) continue;
        assert_int_equal(
            isg_factors_create(&w->factors, 25, 32, 32, isg_factor_levels(32, 32, 25, 3, 8, 0, 0), 0, &err), ISG_OK);
        fill(&w->factors->basis, 4);
        fill(&w->factors->u, 5);
        fill(&w->factors->v, 6);
        isg_tensor_destroy(w->constant);
        w->constant = NULL;
        factors = 1;
    }
    assert_true(factors);
    assert_int_equal(isg_model_from_graph(&m, g, &err), ISG_OK);
    if (isg_sim_network_from_graph(&a, g, NULL, &err) != ISG_OK) fail_msg("%s", err.message);
    if (isg_sim_network_from_model(&b, m, NULL, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_int_equal(a->layer_count, 4);
    assert_int_equal(b->layer_count, 4);
    factors = 0;
    for (uint32_t i = 0; i < 4; i++) {
        const isg_sim_layer *x = &a->layers[i], *y = &b->layers[i];
        assert_string_equal(x->name, y->name);
        assert_true(x->groups == y->groups && x->ci == y->ci && x->co == y->co && x->taps == y->taps);
        assert_true(x->in_pixels == y->in_pixels && x->out_pixels == y->out_pixels && x->bi == y->bi && x->bo == y->bo);
        assert_true(x->basis_bits == y->basis_bits && x->u_bits == y->u_bits && x->v_bits == y->v_bits);
        for (int s = 0; s < ISG_SIM_STREAMS; s++) assert_true(x->bytes[s] == y->bytes[s]);
        if (!x->level1) continue;
        factors++;
        assert_true(x->bi == 3 && x->bo == 8 && x->basis_bits == 4 && x->u_bits == 5 && x->v_bits == 6);
        assert_true(x->bytes[ISG_SIM_BASIS] == 25 * 3 * 8 * 4 / 8 && x->bytes[ISG_SIM_V] == 8 * 32 * 6 / 8);
        assert_true(x->bytes[ISG_SIM_SCALE] == (24 + 24 + 32) * 2);
    }
    assert_int_equal(factors, 1);
    isg_sim_network_destroy(a);
    isg_sim_network_destroy(b);
    isg_model_close(m);
    isg_graph_destroy(g);
}

static void test_bad_calls(void **state)
{
    isg_sim_profile *p = load("firefly300"), *s = load("spiker100");
    isg_sim_network *n = network(&factored), *empty = NULL;
    isg_sim_form form = factored;
    isg_sim_layer layer = {.name = "l", .groups = 2, .ci = 4, .co = 3, .taps = 1, .in_pixels = 1, .out_pixels = 1};
    isg_sim_options options = {sizeof options, 1, ISG_SIM_FACTORED};
    isg_sim_report *r = NULL;
    isg_error err;
    (void)state;
    assert_int_equal(isg_sim_evaluate(&r, n, p, &options, &err), ISG_E_UNSUPPORTED); /* no spikes in between */
    assert_non_null(strstr(err.message, "layer "));
    options.mode = ISG_SIM_DENSE;
    assert_int_equal(isg_sim_evaluate(&r, n, s, &options, &err), ISG_E_UNSUPPORTED);
    options.struct_size = 1;
    assert_int_equal(isg_sim_evaluate(&r, n, p, &options, &err), ISG_E_ARG);
    options.struct_size = sizeof options;
    n->layers[3].co = 0;
    assert_int_equal(isg_sim_evaluate(&r, n, p, &options, &err), ISG_E_ARG);
    assert_int_equal(isg_sim_network_create(&empty, "empty", 0, &err), ISG_OK);
    assert_int_equal(isg_sim_evaluate(&r, empty, p, &options, &err), ISG_E_ARG);
    assert_null(r);
    assert_int_equal(isg_sim_layer_finish(&layer, &form, &err), ISG_E_ARG); /* 3 outputs in 2 groups */
    layer.co = 4;
    form.weight_bits = 0;
    assert_int_equal(isg_sim_layer_finish(&layer, &form, &err), ISG_E_ARG);
    isg_sim_network_destroy(empty);
    isg_sim_network_destroy(n);
    isg_sim_profile_destroy(p);
    isg_sim_profile_destroy(s);
}

static void test_every_allocation_may_fail(void **state)
{
    isg_sim_profile *p = load("digital28_sd");
    isg_error err;
    (void)state;
    for (uint64_t k = 1; k < 50; k++) {
        const isg_sim_options options = {sizeof options, 1, ISG_SIM_AUTO};
        isg_sim_network *n = NULL;
        isg_sim_report *r = NULL;
        isg_status status;
        isgi_alloc_fail_at(k);
        status = isg_sim_network_from_graph(&n, resnet, &factored, &err);
        if (status == ISG_OK) status = isg_sim_evaluate(&r, n, p, &options, &err);
        isgi_alloc_fail_at(0);
        isg_sim_report_destroy(r);
        isg_sim_network_destroy(n);
        if (status == ISG_OK) {
            isg_sim_profile_destroy(p);
            return;
        }
        assert_int_equal(status, ISG_E_NOMEM);
    }
    fail_msg("more allocations than expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_of_resnet18),
        cmocka_unit_test(test_break_even_of_arithmetic),
        cmocka_unit_test(test_every_profile_and_mode),
        cmocka_unit_test(test_buffers_and_tiers),
        cmocka_unit_test(test_analog_and_digital_regeneration),
        cmocka_unit_test(test_graph_and_model_agree),
        cmocka_unit_test(test_bad_calls),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, build_resnet, destroy_resnet);
}
