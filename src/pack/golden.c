/* SPDX-License-Identifier: Apache-2.0 */
/* Making and checking the golden pair of an image (docs/format.md, section 5). */
#include "pack/golden.h"

#include <insitu/format.h>
#include <insitu/pack.h>
#include <math.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "pack/isa.h"

#define GOLDEN_COARSE 0.25       /* for int8: the input is noise, which no range was calibrated for */
#define GOLDEN_BF16 0.03         /* for bf16 */
#define GOLDEN_CODES 0.03        /* made in int8 or bf16: a last bit that differs turns a rounding; seen: 0.006 */
#define GOLDEN_TOLERANCE 1.0e-3f /* of the largest output: float32 in another order of summation, many layers deep */

static uint64_t io_elements(const isg_rt_io *io)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < io->rank; i++) n *= io->dims[i] ? io->dims[i] : 1u;
    return n;
}

/* Elements of all inputs or outputs. */
static isg_status total_elements(const isg_rt_model *m, int outputs, uint64_t *total, isg_error *err)
{
    const uint32_t count = outputs ? isg_rt_output_count(m) : isg_rt_input_count(m);
    *total = 0;
    for (uint32_t i = 0; i < count; i++) {
        isg_rt_io io;
        const isg_status status = outputs ? isg_rt_output(m, i, &io) : isg_rt_input(m, i, &io);
        if (status != ISG_OK) return isgi_fail(err, status, "no such input or output");
        *total += io_elements(&io);
    }
    return *total > UINT32_MAX ? isgi_fail(err, ISG_E_LIMIT, "inputs or outputs of more than 2^32 numbers") : ISG_OK;
}

static isg_status point_into(const isg_rt_model *m, int outputs, float *base, float *pointers[ISG_FORMAT_MAX_IO],
                             isg_error *err)
{
    const uint32_t count = outputs ? isg_rt_output_count(m) : isg_rt_input_count(m);
    for (uint32_t i = 0; i < count; i++) {
        isg_rt_io io;
        const isg_status status = outputs ? isg_rt_output(m, i, &io) : isg_rt_input(m, i, &io);
        if (status != ISG_OK) return isgi_fail(err, status, "no such input or output");
        pointers[i] = base;
        base += io_elements(&io);
    }
    return ISG_OK;
}

isg_status isgi_golden_run(const isg_rt_model *m, const isg_rt_options *options, uint64_t seed, float **out,
                           uint32_t *count, isg_error *err)
{
    float *in_data = NULL, *out_data = NULL, *in[ISG_FORMAT_MAX_IO], *outs[ISG_FORMAT_MAX_IO];
    const float *const_in[ISG_FORMAT_MAX_IO];
    void *workspace = NULL;
    uint64_t in_count, out_count, state = seed;
    isg_rt_context *ctx;
    isg_rt_memory memory;
    isg_rt_options o = *options;
    isg_status status;
    o.batch = 1;
    ISGI_TRY(total_elements(m, 0, &in_count, err));
    ISGI_TRY(total_elements(m, 1, &out_count, err));
    ISGI_TRY(isg_image_plan(m, &o, &memory, err));
    in_data = isgi_malloc((size_t)in_count * sizeof *in_data);
    out_data = isgi_malloc((size_t)out_count * sizeof *out_data);
    workspace = isgi_malloc((size_t)memory.workspace_bytes);
    if (!in_data || !out_data || !workspace) {
        status = isgi_nomem(err);
        goto done;
    }
    for (uint64_t i = 0; i < in_count; i++) in_data[i] = isg_golden_next(&state);
    status = point_into(m, 0, in_data, in, err);
    if (status == ISG_OK) status = point_into(m, 1, out_data, outs, err);
    if (status == ISG_OK) {
        status = isg_rt_context_init(&ctx, workspace, (size_t)memory.workspace_bytes, m, &o, err);
    }
    if (status != ISG_OK) goto done;
    for (uint32_t i = 0; i < isg_rt_input_count(m); i++) const_in[i] = in[i];
    status = isg_rt_run(ctx, const_in, outs, err);
    if (status != ISG_OK) goto done;
    *out = out_data;
    *count = (uint32_t)out_count;
    out_data = NULL;
done:
    isg_free(in_data);
    isg_free(out_data);
    isg_free(workspace);
    return status;
}

isg_status isgi_golden_write(isgi_buffer *section, const isg_rt_model *m, uint64_t seed, isg_error *err)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    uint64_t outputs;
    uint32_t count;
    float *data;
    uint8_t *room;
    isg_status status;
    options.isa_mask = ISG_ISA_SCALAR; /* the same bytes on every machine */
    options.strategy = ISG_STRATEGY_GENERATE;
    ISGI_TRY(total_elements(m, 1, &outputs, err));
    if (outputs > ISGI_GOLDEN_MAXIMUM) return ISG_OK;
    ISGI_TRY(isgi_golden_run(m, &options, seed, &data, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        if (!isfinite(data[i])) {
            isg_free(data);
            return ISG_OK;
        }
    }
    status = isgi_buffer_extend(section, ISG_FORMAT_GOLDEN_HEADER_BYTES + 4 * (size_t)count, &room, err);
    if (status == ISG_OK) {
        isgi_store_u64(room, seed);
        isgi_store_f32(room + 8, GOLDEN_TOLERANCE);
        isgi_store_u32(room + 12, count);
        for (uint32_t i = 0; i < count; i++) {
            isgi_store_f32(room + ISG_FORMAT_GOLDEN_HEADER_BYTES + 4 * (size_t)i, data[i]);
        }
    }
    isg_free(data);
    return status;
}

double isgi_golden_tolerance(const uint8_t *section, uint32_t mode)
{
    const double stored = isgi_load_f32(section + 8);
    if (mode == ISG_MODE_INT8 && stored < GOLDEN_COARSE) return GOLDEN_COARSE;
    if (mode == ISG_MODE_BF16 && stored < GOLDEN_BF16) return GOLDEN_BF16;
    return stored;
}

double isgi_golden_mode_tolerance(uint32_t mode)
{
    return mode == ISG_MODE_F32 ? (double)GOLDEN_TOLERANCE : GOLDEN_CODES;
}

isg_status isg_model_selftest(const isg_model *m, const isg_rt_options *options, double *max_error, double *tolerance,
                              isg_error *err)
{
    const isg_rt_model *rt = isg_model_rt(m);
    isg_rt_options o;
    double worst = 0.0, largest = 1.0, allowed;
    uint32_t count;
    size_t bytes;
    float *got;
    const uint8_t *section = isg_rt_section(rt, ISG_SECTION_GOLDEN, &bytes);
    if (!section) return isgi_fail(err, ISG_E_UNSUPPORTED, "the file holds no golden pair");
    if (bytes < ISG_FORMAT_GOLDEN_HEADER_BYTES) return isgi_fail(err, ISG_E_FORMAT, "the golden pair is cut short");
    ISGI_TRY(isgi_session_options(&o, options, err));
    ISGI_TRY(isgi_golden_run(rt, &o, isgi_load_u64(section), &got, &count, err));
    if (isgi_load_u32(section + 12) != count || bytes != ISG_FORMAT_GOLDEN_HEADER_BYTES + 4 * (size_t)count) {
        isg_free(got);
        return isgi_fail(err, ISG_E_FORMAT, "the golden pair does not have one number an output");
    }
    for (uint32_t i = 0; i < count; i++) {
        const double want = isgi_load_f32(section + ISG_FORMAT_GOLDEN_HEADER_BYTES + 4 * (size_t)i);
        const double error = fabs((double)got[i] - want);
        if (fabs(want) > largest) largest = fabs(want);
        if (!(error <= worst)) worst = isfinite(error) ? error : INFINITY;
    }
    isg_free(got);
    allowed = isgi_golden_tolerance(section, o.mode) * largest;
    if (max_error) *max_error = worst;
    if (tolerance) *tolerance = allowed;
    if (worst <= allowed) return ISG_OK;
    return isgi_fail(err, ISG_E_NUMERIC, "golden output is off by %.3g, allowed are %.3g", worst, allowed);
}
