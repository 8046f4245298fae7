/* SPDX-License-Identifier: Apache-2.0 */
/* The hosted model: a mapped .isg file, or an .onnx file or graph packed in memory; and sessions that run it. */
#include "pack/model.h"

#include <insitu/format.h>
#include <insitu/onnx.h>
#include <stdlib.h>
#include <string.h>

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "pack/image.h"
#include "pack/isa.h"
#include "pack/meta.h"
#include "pack/program.h"

struct isg_model {
    isg_file file; /* a .isg */
    void *image;   /* or packed here */
    size_t image_bytes;
    int32_t *nodes; /* of a graph packed here: the node of every operation */
    isg_rt_model rt;
    isg_model_meta meta;
    char *texts[4]; /* tool, recipe, license, producer */
    char **class_names;
    uint64_t file_bytes;
    int is_isg;
};

isg_status isgi_image_open(isg_rt_model *rt, const void *image, size_t bytes, isg_error *err)
{
    const isg_status status = isg_rt_open(rt, image, bytes, err);
    const uint8_t *p = image;
    if (status != ISG_E_VERSION) return status;
    isgi_fail(err, status, "format version %u.%u, this build reads %u.x", isgi_load_u16(p + ISG_FORMAT_AT_MAJOR),
              isgi_load_u16(p + ISG_FORMAT_AT_MINOR), ISG_FORMAT_MAJOR);
    if (err) err->offset = ISG_FORMAT_AT_MAJOR;
    return status;
}

static isg_status open_image(isg_model *m, const void *image, size_t bytes, isg_error *err)
{
    static const char *const keys[4] = {"tool", "recipe", "license", "producer"};
    ISGI_TRY(isgi_image_open(&m->rt, image, bytes, err));
    for (int i = 0; i < 4; i++) ISGI_TRY(isgi_meta_get(&m->rt, keys[i], &m->texts[i], err));
    ISGI_TRY(isgi_meta_hash(&m->rt, m->meta.source_hash, err));
    ISGI_TRY(isgi_classes_get(&m->rt, &m->class_names, &m->meta.class_count, err));
    ISGI_TRY(isgi_input_get(&m->rt, &m->meta.input, &m->meta.label_offset, err));
    m->meta.tool_version = m->texts[0];
    m->meta.recipe = m->texts[1];
    m->meta.license = m->texts[2];
    m->meta.producer = m->texts[3];
    return ISG_OK;
}

static isg_status pack_in_memory(isg_model *m, const isg_graph *prepared, isg_error *err)
{
    ISGI_TRY(isgi_pack_image(prepared, NULL, &m->image, &m->image_bytes, &m->nodes, err));
    if (m->file_bytes == 0) m->file_bytes = m->image_bytes;
    return open_image(m, m->image, m->image_bytes, err);
}

/* From the open file, not by its name again: it may be a pipe. */
static isg_status open_onnx(isg_model *m, const char *path, const isg_onnx_options *options, isg_error *err)
{
    isg_graph *g = NULL;
    isg_status status = isg_onnx_import_opened(&g, &m->file, path, options, NULL, err);
    isg_file_close(&m->file);
    if (status == ISG_OK) status = isg_graph_prepare(g, err);
    if (status == ISG_OK) status = pack_in_memory(m, g, err);
    isg_graph_destroy(g);
    return status;
}

/* By content, not by name; but a damaged file named .isg is told as such. */
static int looks_like_isg(const isg_file *f, const char *path)
{
    const size_t n = strlen(path);
    if (n >= 4 && strcmp(path + n - 4, ".isg") == 0) return 1;
    return f->size >= 8 && memcmp(f->data, "\x89ISG\r\n\x1a\n", 8) == 0;
}

isg_status isg_model_open(isg_model **out, const char *path, isg_error *err)
{
    isg_file file;
    *out = NULL;
    ISGI_TRY(isg_file_open(&file, path, err));
    return isg_model_open_file(out, &file, path, NULL, err);
}

isg_status isg_model_open_file(isg_model **out, isg_file *take, const char *path, const isg_onnx_options *options,
                               isg_error *err)
{
    isg_status status;
    isg_model *m = isgi_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) {
        isg_file_close(take);
        return isgi_nomem(err);
    }
    m->file = *take;
    memset(take, 0, sizeof *take);
    m->file_bytes = m->file.size;
    m->is_isg = looks_like_isg(&m->file, path);
    status = m->is_isg ? open_image(m, m->file.data, m->file.size, err) : open_onnx(m, path, options, err);
    if (status != ISG_OK) {
        isg_model_close(m);
        return status;
    }
    *out = m;
    return ISG_OK;
}

isg_status isg_model_from_graph(isg_model **out, const isg_graph *prepared, isg_error *err)
{
    isg_status status;
    isg_model *m = isgi_calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return isgi_nomem(err);
    status = pack_in_memory(m, prepared, err);
    if (status != ISG_OK) {
        isg_model_close(m);
        return status;
    }
    *out = m;
    return ISG_OK;
}

void isg_model_close(isg_model *m)
{
    if (!m) return;
    for (int i = 0; i < 4; i++) isg_free(m->texts[i]);
    isg_free(m->class_names);
    isg_free(m->image);
    isg_free(m->nodes);
    isg_file_close(&m->file);
    isg_free(m);
}

int32_t isgi_model_node(const isg_model *m, uint32_t op)
{
    return m->nodes[op];
}

const isg_rt_model *isg_model_rt(const isg_model *m)
{
    return &m->rt;
}

const isg_model_meta *isg_model_get_meta(const isg_model *m)
{
    return &m->meta;
}

const char *isg_model_class_name(const isg_model *m, uint32_t index)
{
    return index < m->meta.class_count ? m->class_names[index] : NULL;
}

const void *isgi_model_image(const isg_model *m, size_t *bytes)
{
    *bytes = m->image ? m->image_bytes : m->file.size;
    return m->image ? m->image : m->file.data;
}

isg_status isg_model_graph(isg_graph **out, const isg_model *m, isg_error *err)
{
    size_t bytes;
    const void *image = isgi_model_image(m, &bytes);
    return isg_unpack_image(out, image, bytes, err);
}

int isg_model_is_isg(const isg_model *m)
{
    return m->is_isg;
}

uint64_t isg_model_file_bytes(const isg_model *m)
{
    return m->file_bytes;
}

struct isg_session {
    isg_rt_context *context;
    void *workspace;
    uint64_t workspace_bytes;
};

isg_status isgi_isa_from_environment(uint32_t *mask, isg_error *err)
{
    static const struct {
        const char *name;
        uint32_t mask;
    } levels[] = {{"scalar", ISG_ISA_SCALAR},
                  {"avx2", ISG_ISA_AVX2},
                  {"avx512", ISG_ISA_AVX2 | ISG_ISA_AVX512},
                  {"avx512vnni", ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI},
                  {"avx512bf16", ISG_ISA_AVX2 | ISG_ISA_AVX512 | ISG_ISA_AVX512VNNI | ISG_ISA_AVX512BF16},
                  {"neon", ISG_ISA_NEON},
                  {"neondot", ISG_ISA_NEON | ISG_ISA_NEONDOT}};
    const char *text = getenv("INSITU_ISA");
    char name[48];
    if (*mask != ISG_ISA_ALL || !text || !*text) return ISG_OK;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(text, levels[i].name) != 0) continue;
        if (levels[i].mask & ~isg_rt_isa())
            return isgi_fail(err, ISG_E_ARG, "INSITU_ISA is '%s', which this CPU does not have", levels[i].name);
        *mask = levels[i].mask;
        return ISG_OK;
    }
    return isgi_fail(err, ISG_E_ARG,
                     "INSITU_ISA is '%s': scalar, avx2, avx512, avx512vnni, avx512bf16, neon or neondot are possible",
                     isgi_escape(name, sizeof name, text));
}

isg_status isgi_session_options(isg_rt_options *o, const isg_rt_options *given, isg_error *err)
{
    const isg_rt_options standard = ISG_RT_OPTIONS_INIT;
    *o = given ? *given : standard;
    return isgi_isa_from_environment(&o->isa_mask, err);
}

isg_status isg_image_plan(const isg_rt_model *rt, const isg_rt_options *options, isg_rt_memory *memory, isg_error *err)
{
    isg_rt_options o;
    uint64_t allowed;
    isg_status status;
    ISGI_TRY(isgi_session_options(&o, options, err));
    allowed = o.max_memory;
    status = isg_rt_plan(rt, &o, memory, err);
    if (status != ISG_E_LIMIT || !allowed) return status;
    o.max_memory = 0;
    if (isg_rt_plan(rt, &o, memory, NULL) != ISG_OK) return status; /* another limit: its message stands */
    return isgi_fail(err, ISG_E_LIMIT, "the plan needs %llu bytes of workspace, more than the %llu allowed",
                     (unsigned long long)memory->workspace_bytes, (unsigned long long)allowed);
}

isg_status isg_model_plan(const isg_model *m, const isg_rt_options *options, isg_rt_memory *memory, isg_error *err)
{
    return isg_image_plan(&m->rt, options, memory, err);
}

isg_status isg_session_create(isg_session **out, const isg_model *m, const isg_rt_options *options, isg_error *err)
{
    isg_rt_options o;
    isg_rt_memory memory;
    isg_session *s;
    isg_status status;
    *out = NULL;
    ISGI_TRY(isgi_session_options(&o, options, err));
    ISGI_TRY(isg_model_plan(m, &o, &memory, err));
    s = isgi_calloc(1, sizeof *s);
    if (!s) return isgi_nomem(err);
    s->workspace_bytes = memory.workspace_bytes;
    s->workspace = memory.workspace_bytes > SIZE_MAX ? NULL : isgi_malloc((size_t)memory.workspace_bytes);
    if (!s->workspace) {
        isg_session_destroy(s);
        return isgi_fail(err, ISG_E_NOMEM, "out of memory: the workspace takes %llu bytes",
                         (unsigned long long)memory.workspace_bytes);
    }
    status = isg_rt_context_init(&s->context, s->workspace, (size_t)memory.workspace_bytes, &m->rt, &o, err);
    if (status != ISG_OK) {
        isg_session_destroy(s);
        return status;
    }
    *out = s;
    return ISG_OK;
}

void isg_session_destroy(isg_session *s)
{
    if (!s) return;
    isg_free(s->workspace);
    isg_free(s);
}

isg_rt_context *isg_session_context(isg_session *s)
{
    return s->context;
}

uint64_t isg_session_workspace_bytes(const isg_session *s)
{
    return s->workspace_bytes;
}

isg_status isg_session_run(isg_session *s, const float *const *inputs, float *const *outputs, isg_error *err)
{
    return isg_rt_run(s->context, inputs, outputs, err);
}
