/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target of accelerator profiles: any bytes; what is sound must also be costed to finite numbers. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <insitu/sim.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One factored convolution, in every mode. */
static void cost(const isg_sim_profile *p)
{
    const isg_sim_form form = {sizeof form, 2, 4, 0, 3, 6, 3, 8, 8, 16, 32, 0};
    isg_sim_layer layer = {.name = "c", .groups = 1, .ci = 16, .co = 32, .taps = 9, .in_pixels = 64, .out_pixels = 64};
    isg_sim_network n = {.name = "n", .layer_count = 1, .layers = &layer};
    isg_error err;
    if (isg_sim_layer_finish(&layer, &form, &err) != ISG_OK) abort();
    for (int mode = ISG_SIM_AUTO; mode <= ISG_SIM_RESIDENT; mode++) {
        const isg_sim_options options = {sizeof options, 2, (isg_sim_mode)mode};
        isg_sim_report *r = NULL;
        if (isg_sim_evaluate(&r, &n, p, &options, &err) != ISG_OK) continue;
        if (isnan(r->total.total_pj.typical) || isnan(r->total.latency_ns.typical) || r->total.total_pj.low < 0)
            abort();
        isg_sim_report_destroy(r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    isg_sim_profile *p = NULL;
    isg_sim_problems problems;
    isg_error err;
    const isg_status status = isg_sim_profile_check_text((const char *)data, size, "fuzz", &problems, &err);
    if (status == ISG_E_FORMAT && (problems.count == 0 || err.message[0] == 0)) abort(); /* a refusal says why */
    if (status == ISG_OK && problems.count != 0) abort();
    isg_free(problems.items);
    if (isg_sim_profile_parse(&p, (const char *)data, size, "fuzz", &err) != status) abort();
    if (p) cost(p);
    isg_sim_profile_destroy(p);
    return 0;
}
