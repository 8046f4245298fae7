/* SPDX-License-Identifier: Apache-2.0 */
/* C source of a model: checks what was asked for, and plans for the machines that it may run on. */
#include "pack/c_source.h"

#include <math.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "host/plain_numbers.h"
#include "pack/golden.h"
#include "pack/model.h"
#include "rt/exec.h"

#define IMAGE_MAX ((size_t)16 << 20) /* a compiler takes some 140 bytes a byte of a table */
#define TEST_MAX (1u << 24)          /* numbers of the self-test's input */
#define TEST_SEED 1u                 /* of it where the model has no golden pair */
#define TEXT_MAX ((size_t)96 << 20)  /* four bytes of text a byte of the largest image, and names */
#define PORTABLE ((uint32_t)(ISG_ISA_NEON | ISG_ISA_NEONDOT))
#define X86 ((uint32_t)(ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI | ISG_ISA_AVX512BF16))

uint64_t isgi_c_floats(const isg_rt_io *io)
{
    uint64_t n = 1;
    for (uint32_t i = 0; i < io->rank; i++) n *= io->dims[i] ? io->dims[i] : 1u;
    return n;
}

static int is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int is_word(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

static isg_status check_prefix(const char *prefix, isg_error *err)
{
    char shown[ISGI_C_PREFIX + 16];
    size_t n = 0;
    isgi_escape(shown, sizeof shown, prefix);
    while (is_word(prefix[n])) n++;
    if (!is_letter(prefix[0]) || prefix[n])
        return isgi_fail(err, ISG_E_ARG, "prefix '%s': names in C begin with a letter, then letters, digits and _",
                         shown);
    if (n >= ISGI_C_PREFIX)
        return isgi_fail(err, ISG_E_ARG, "a prefix of %zu characters: %d are the most", n, ISGI_C_PREFIX - 1);
    if ((prefix[0] | 32) == 'i' && (prefix[1] | 32) == 's' && (prefix[2] | 32) == 'g')
        return isgi_fail(err, ISG_E_ARG, "prefix '%s': names that begin with isg are the runtime's", shown);
    return ISG_OK;
}

/* What every compiler takes between the quotes of an #include. */
static isg_status check_header(const char *header, isg_error *err)
{
    char shown[128];
    const char *c = header;
    while (is_word(*c) || (*c && strchr(".-+", *c))) c++;
    if (*header && !*c) return ISG_OK;
    return isgi_fail(err, ISG_E_ARG, "header '%s': only letters, digits and . _ - + are plain in an #include",
                     isgi_escape(shown, sizeof shown, header));
}

static isg_status check_options(const isg_c_options *o, isg_error *err)
{
    if (!o || o->struct_size != sizeof *o)
        return isgi_fail(err, ISG_E_ARG, "options of C source of another library version");
    if (!o->prefix || !o->header) return isgi_fail(err, ISG_E_ARG, "C source without a prefix or a header");
    ISGI_TRY(check_prefix(o->prefix, err));
    ISGI_TRY(check_header(o->header, err));
    if (o->isa_mask != (uint32_t)ISG_ISA_ALL && (o->isa_mask & X86 & ~isg_rt_isa()))
        return isgi_fail(err, ISG_E_ARG, "this CPU lacks instructions of x86 that the source is to be planned for");
    if (!isgi_host_is_little())
        return isgi_fail(err, ISG_E_UNSUPPORTED, "C source is planned for on little-endian machines only");
    return ISG_OK;
}

static isg_status read_io(isgi_c_network *n, const isg_rt_model *rt, isg_error *err)
{
    n->counts[0] = isg_rt_input_count(rt);
    n->counts[1] = isg_rt_output_count(rt);
    for (int k = 0; k < 2; k++) {
        n->floats[k] = 0;
        for (uint32_t i = 0; i < n->counts[k]; i++) {
            isg_rt_io *io = &n->io[k][i];
            const isg_status status = k ? isg_rt_output(rt, i, io) : isg_rt_input(rt, i, io);
            if (status != ISG_OK) return isgi_fail(err, status, "no such input or output");
            n->floats[k] += isgi_c_floats(io);
        }
    }
    return ISG_OK;
}

/* The plan of one set of instructions; that of NEON differs from that of plain C by the costs alone, so that every
 * machine makes it. */
static isg_status plan(uint64_t *most, const isgi_c_network *n, uint32_t isa, isg_error *err)
{
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    isg_rt_costs costs;
    isg_rt_memory memory;
    isgi_costs_of(&costs, isa);
    o.isa_mask = isa & X86;
    o.mode = n->mode;
    o.costs = &costs;
    ISGI_TRY(isg_rt_plan(isg_model_rt(n->model), &o, &memory, err));
    if (memory.workspace_bytes + ISGI_C_HEAD > *most) *most = memory.workspace_bytes + ISGI_C_HEAD;
    return ISG_OK;
}

/* A CPU may lack some of what is allowed: what it then uses is planned for too. */
static isg_status plan_all(isgi_c_network *n, isg_error *err)
{
    static const uint32_t levels[] = {ISG_ISA_SCALAR, ISG_ISA_AVX2, ISG_ISA_AVX2 | ISG_ISA_AVX512};
    n->workspace = n->workspace_neon = 0;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
        if (!(levels[i] & ~n->isa)) ISGI_TRY(plan(&n->workspace, n, levels[i], err));
    return plan(&n->workspace_neon, n, n->isa & ISG_ISA_NEON, err);
}

static isg_status read_golden(isgi_c_network *n, isg_error *err)
{
    size_t bytes;
    n->golden = isg_rt_section(isg_model_rt(n->model), ISG_SECTION_GOLDEN, &bytes);
    if (!n->golden) return ISG_OK;
    if (bytes < ISG_FORMAT_GOLDEN_HEADER_BYTES || isgi_load_u32(n->golden + 12) != n->floats[1] ||
        bytes != ISG_FORMAT_GOLDEN_HEADER_BYTES + 4 * n->floats[1])
        return isgi_fail(err, ISG_E_FORMAT, "the golden pair does not have one number an output");
    n->seed = isgi_load_u64(n->golden);
    n->tolerance = isgi_golden_tolerance(n->golden, n->mode);
    if (isfinite(n->tolerance) && n->tolerance >= 0.0) return ISG_OK;
    return isgi_fail(err, ISG_E_FORMAT, "the tolerance of the golden pair is out of range");
}

/* The golden pair is of float32. In other modes, and where there is none, the outputs are those of plain C, which has
 * the same bits here and there, and so is much closer to what a machine should get. */
static isg_status read_selftest(isgi_c_network *n, isg_error *err)
{
    isg_rt_options o = ISG_RT_OPTIONS_INIT;
    uint32_t count;
    n->seed = TEST_SEED;
    n->wanted = NULL;
    ISGI_TRY(read_golden(n, err));
    if (n->golden && n->mode == ISG_MODE_F32) return ISG_OK;
    n->golden = NULL;
    if (n->floats[0] > TEST_MAX || n->floats[1] > ISGI_GOLDEN_MAXIMUM) return ISG_OK;
    o.isa_mask = ISG_ISA_SCALAR;
    o.mode = n->mode;
    n->tolerance = isgi_golden_mode_tolerance(n->mode);
    ISGI_TRY(isgi_golden_run(isg_model_rt(n->model), &o, n->seed, &n->wanted, &count, err));
    for (uint32_t i = 0; i < count && n->wanted; i++) {
        if (isfinite(n->wanted[i])) continue;
        isg_free(n->wanted);
        n->wanted = NULL;
    }
    return ISG_OK;
}

static isg_status read_network(isgi_c_network *n, const isg_model *m, const isg_c_options *o, isg_error *err)
{
    n->model = m;
    n->image = isgi_model_image(m, &n->image_bytes);
    n->mode = o->mode;
    n->isa = o->isa_mask == (uint32_t)ISG_ISA_ALL ? PORTABLE : o->isa_mask & (PORTABLE | X86);
    n->header = o->header;
    if (n->image_bytes > IMAGE_MAX)
        return isgi_fail(err, ISG_E_LIMIT, "an image of %zu bytes: more than %zu are not written as C", n->image_bytes,
                         IMAGE_MAX);
    ISGI_TRY(read_io(n, isg_model_rt(m), err));
    ISGI_TRY(plan_all(n, err));
    return read_selftest(n, err);
}

/* Both texts, or none. */
static isg_status write_texts(isg_c_source *out, isgi_c_network *n, const char *prefix, isg_error *err)
{
    isgi_c_text header, source;
    isg_status status, other;
    isgi_c_text_init(&header, prefix, TEXT_MAX, err);
    isgi_c_text_init(&source, prefix, TEXT_MAX, err);
    isgi_c_write_header(&header, n);
    if (header.status == ISG_OK) isgi_c_write_source(&source, n);
    status = isgi_c_text_take(&header, &out->header, &out->header_bytes);
    other = isgi_c_text_take(&source, &out->source, &out->source_bytes);
    if (status == ISG_OK) status = other;
    if (status != ISG_OK) isg_c_source_free(out);
    return status;
}

isg_status isg_model_c_source(isg_c_source *out, const isg_model *m, const isg_c_options *options, isg_error *err)
{
    isgi_c_network n;
    isgi_plain_numbers plain;
    isg_status status;
    memset(out, 0, sizeof *out);
    ISGI_TRY(check_options(options, err));
    ISGI_TRY(read_network(&n, m, options, err));
    isgi_plain_numbers_begin(&plain);
    status = write_texts(out, &n, options->prefix, err);
    isgi_plain_numbers_end(&plain);
    isg_free(n.wanted);
    if (status != ISG_OK) return status;
    out->image_bytes = n.image_bytes;
    out->workspace_bytes = n.workspace > n.workspace_neon ? n.workspace : n.workspace_neon;
    return ISG_OK;
}

void isg_c_source_free(isg_c_source *source)
{
    isg_free(source->source);
    isg_free(source->header);
    memset(source, 0, sizeof *source);
}
