/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: the shipped ones are sound, and every way to break one is refused with file, key and reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <insitu/sim.h>

#include "host/alloc.h"

static isg_sim_profile *load(const char *name)
{
    isg_sim_profile *p = NULL;
    isg_error err;
    if (isg_sim_profile_load(&p, name, &err) != ISG_OK) fail_msg("%s", err.message);
    return p;
}

static int number_at(isg_sim_number *number, const isg_sim_profile *p, const char *key)
{
    for (uint32_t i = 0; i < isg_sim_profile_number_count(p); i++) {
        assert_int_equal(isg_sim_profile_number(p, i, number), ISG_OK);
        if (strcmp(number->key, key) == 0) return 1;
    }
    return 0;
}

static void test_shipped(void **state)
{
    static const char *const expected[] = {
        "ap_rtm",         "digital22_hbm2", "digital28_sd", "digital45_lpddr4", "firefly300",       "hetmem22_pcm",
        "hetmem22_rram",  "hetmem22_sram",  "hetmem22_stt", "mrr_albireo_aggr", "mrr_albireo_cons", "mrr_albireo_mod",
        "mrr_crosslight", "opima",          "pcm_ima22",    "reram_isaac32",    "reram_neurosim22", "spiker100"};
    const char *const *names = NULL;
    uint32_t count = 0;
    isg_error err;
    (void)state;
    assert_int_equal(isg_sim_profile_list(&names, &count, &err), ISG_OK);
    assert_int_equal(count, sizeof expected / sizeof *expected);
    for (uint32_t i = 0; i < count; i++) {
        isg_sim_problems problems;
        isg_sim_profile *p;
        isg_sim_number number;
        assert_string_equal(names[i], expected[i]);
        if (isg_sim_profile_check(names[i], &problems, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(problems.count, 0);
        p = load(names[i]);
        assert_string_equal(isg_sim_profile_name(p), names[i]);
        assert_true(isg_sim_profile_number_count(p) > 15);
        assert_true(isg_sim_profile_peak_gops(p) > 0);
        for (uint32_t k = 0; k < isg_sim_profile_number_count(p); k++) {
            assert_int_equal(isg_sim_profile_number(p, k, &number), ISG_OK);
            assert_true(number.unit[0] && number.node[0] && number.source[0]);
            assert_true(number.value.low <= number.value.typical && number.value.typical <= number.value.high);
        }
        isg_sim_profile_destroy(p);
    }
    isg_free((void *)(uintptr_t)names);
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *name, *key, *reason;
    } cases[] = {
        {"missing-unit", "tiers.dram.read.unit", "missing"},
        {"missing-source", "tiers.dram.read.source", "missing"},
        {"missing-mark", "engine.mac.mark", "missing"},
        {"missing-node", "engine.mac.node", "missing"},
        {"missing-number", "engine.mac", "missing"},
        {"wrong-unit", "engine.mac", "unit \"ns\" is not fJ, pJ, nJ or uJ"},
        {"negative-energy", "tiers.dram.read", "-8 pJ/b is negative"},
        {"negative-band", "engine.mac", "-0.1 pJ is negative"},
        {"descending-band", "engine.mac", "the band does not ascend"},
        {"structural-band", "engine.rows", "is structural and cannot be a band"},
        {"text-value", "engine.mac", "the value is neither a number nor [low, typical, high]"},
        {"infinite", "engine.mac", "the value is not finite"},
        {"fraction-rows", "engine.rows", "is not a whole number"},
        {"zero-frequency", "engine.frequency", "0 MHz is out of range"},
        {"unknown-key", "speed", "unknown key"},
        {"unknown-engine-key", "engine.cell_bits", "unknown key of engine systolic"},
        {"unknown-tier-key", "tiers.dram.colour", "unknown key"},
        {"unknown-engine", "engine.kind", "\"quantum\" is none of"},
        {"unknown-place", "place.u", "there is no tier \"disk\""},
        {"unknown-source", "engine.mac", "source \"nobody\" is not in \"sources\""},
        {"unknown-mark", "engine.mac.mark", "\"sure\" is none of"},
        {"mixed-node", "engine.mac", "numbers of different nodes do not mix"},
        {"second-node", "companions", "a second CMOS node"},
        {"small-weight-buffer", "tiers.weights.size", "too small for one tile of 32 x 32 weights"},
        {"small-activation-buffer", "tiers.activations.size", "too small for one tile"},
        {"no-tiers", "tiers", "not a list"},
        {"same-tier", "tiers[1]", "a second tier of the same name"},
        {"bad-name", "name", "not a to z"},
        {"version", "insitu_profile", "not 1"},
        {"no-unit-rate", "engine.generator_rate", "missing (engine.generator is \"unit\")"},
        {"not-json", "", "not JSON near byte"},
        {"not-object", "", "not a JSON object"},
        {"twice", "name", "given twice"},
        {"half-a-laser", "engine.loss", "missing (a laser needs"},
        {"two-lasers", "engine.loss", "gives the laser's power already"},
        {"crossbar-generates", "engine.generator", "this engine cannot make weights itself"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[512];
        isg_sim_problems problems;
        isg_sim_profile *p = NULL;
        isg_error err = {ISG_OK, 0, 0, ""};
        uint32_t at = 0;
        snprintf(path, sizeof path, "%s/tests/bad/profile/%s.json", INSITU_SOURCE_DIR, cases[i].name);
        assert_int_equal(isg_sim_profile_check(path, &problems, &err), ISG_E_FORMAT);
        while (at < problems.count && (strcmp(problems.items[at].key, cases[i].key) != 0 ||
                                       !strstr(problems.items[at].reason, cases[i].reason)))
            at++;
        if (at == problems.count)
            fail_msg("%s: first problem is %s: %s", cases[i].name, problems.items[0].key, problems.items[0].reason);
        assert_non_null(strstr(err.message, cases[i].name)); /* the file */
        assert_non_null(strstr(err.message, problems.items[0].reason));
        assert_int_equal(isg_sim_profile_load(&p, path, &err), ISG_E_FORMAT);
        assert_null(p);
        isg_free(problems.items);
    }
}

static void test_every_problem_is_listed(void **state)
{
    static const char text[] = "{\"insitu_profile\": 3, \"name\": \"x\", \"colour\": 1}";
    isg_sim_problems problems;
    isg_error err;
    (void)state;
    assert_int_equal(isg_sim_profile_check_text(text, sizeof text - 1, "x.json", &problems, &err), ISG_E_FORMAT);
    assert_true(problems.count >= 8); /* version, colour, title, node, sources, tiers, place, buffers, engine */
    isg_free(problems.items);
    assert_int_equal(isg_sim_profile_check_text("", 0, "x.json", &problems, &err), ISG_E_FORMAT);
    isg_free(problems.items);
    assert_int_equal(isg_sim_profile_check_text("{}\0{}", 5, "x.json", &problems, &err), ISG_E_FORMAT);
    isg_free(problems.items);
    assert_int_equal(isg_sim_profile_check("no_such_profile", &problems, &err), ISG_E_ARG);
    assert_int_equal(problems.count, 0);
    assert_int_equal(isg_sim_profile_check("./no-such-file.json", &problems, &err), ISG_E_IO);
}

static void test_set_and_clone(void **state)
{
    isg_sim_profile *p = load("digital45_lpddr4"), *copy = NULL;
    isg_sim_number number;
    isg_sim_tier tier;
    isg_error err;
    (void)state;
    assert_int_equal(isg_sim_profile_clone(&copy, p, &err), ISG_OK);
    assert_int_equal(isg_sim_profile_set(p, "tiers.dram.read", 70, &err), ISG_OK);
    assert_true(number_at(&number, p, "tiers.dram.read"));
    assert_true(number.value.typical == 70 && number.value.low == 70 && number.mark == ISG_SIM_ASSUMED);
    assert_true(number_at(&number, copy, "tiers.dram.read"));
    assert_true(number.value.typical == 8 && number.mark == ISG_SIM_SEEN);
    assert_int_equal(isg_sim_profile_tier(p, 2, &tier), ISG_OK);
    assert_string_equal(tier.name, "dram");
    assert_true(tier.off_chip && tier.read_pj_per_bit.typical == 70);
    assert_int_equal(isg_sim_profile_tier(p, 3, &tier), ISG_E_ARG);
    assert_int_equal(isg_sim_profile_set(p, "tiers.dram.colour", 1, &err), ISG_E_ARG);
    assert_int_equal(isg_sim_profile_set(p, "engine.mac", -1, &err), ISG_E_FORMAT);
    assert_non_null(strstr(err.message, "engine.mac"));
    assert_true(number_at(&number, p, "engine.mac"));
    assert_true(number.value.typical == 0.23);
    /* A swept buffer that no longer holds a tile is refused, not costed. */
    assert_int_equal(isg_sim_profile_set(p, "tiers.weights.size", 0, &err), ISG_E_FORMAT);
    isg_sim_profile_destroy(copy);
    isg_sim_profile_destroy(p);
}

static void test_folder_of_the_environment(void **state)
{
    isg_sim_profile *p = NULL;
    isg_error err;
    (void)state;
    assert_int_equal(setenv("INSITU_PROFILES", INSITU_SOURCE_DIR "/tests/bad/profile", 1), 0);
    assert_int_equal(isg_sim_profile_load(&p, "negative-energy", &err), ISG_E_FORMAT);
    p = load("spiker100"); /* the others are still found */
    isg_sim_profile_destroy(p);
    assert_int_equal(unsetenv("INSITU_PROFILES"), 0);
}

static void test_every_allocation_may_fail(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 100; n++) {
        isg_sim_profile *p = NULL, *copy = NULL;
        isg_sim_problems problems = {0, NULL};
        isg_error err;
        isg_status status;
        isgi_alloc_fail_at(n);
        status = isg_sim_profile_load(&p, "opima", &err);
        if (status == ISG_OK) status = isg_sim_profile_clone(&copy, p, &err);
        if (status == ISG_OK) status = isg_sim_profile_set(copy, "engine.adc", 1, &err);
        if (status == ISG_OK) {
            status = isg_sim_profile_check(INSITU_SOURCE_DIR "/tests/bad/profile/unknown-key.json", &problems, &err);
            if (status == ISG_E_FORMAT) status = ISG_OK;
        }
        isgi_alloc_fail_at(0);
        isg_free(problems.items);
        isg_sim_profile_destroy(copy);
        isg_sim_profile_destroy(p);
        if (status == ISG_OK) return;
        assert_int_equal(status, ISG_E_NOMEM);
    }
    fail_msg("more allocations than expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shipped),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_every_problem_is_listed),
        cmocka_unit_test(test_set_and_clone),
        cmocka_unit_test(test_folder_of_the_environment),
        cmocka_unit_test(test_every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
