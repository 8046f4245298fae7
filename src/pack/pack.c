/* SPDX-License-Identifier: Apache-2.0 */
/* The image of a prepared graph: sections, container, checksums, and the file around it. */
#include <insitu/pack.h>
#include <insitu/version.h>
#include <stdio.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "pack/golden.h"
#include "pack/meta.h"
#include "pack/program.h"

#define SMALL_SECTION ((size_t)64 << 20) /* bytes of any section but WEIGHTS */
#define VALUE_MAXIMUM 65536u             /* bytes of a META value */
#define MAX_SECTIONS 7

typedef struct section {
    uint32_t kind;
    const void *data;
    size_t bytes;
} section;

typedef struct packer {
    isgi_program program;
    isgi_buffer graph, input, classes, meta, activations, golden;
    section sections[MAX_SECTIONS];
    uint32_t count;
} packer;

static isg_status put_class_names(isgi_buffer *out, const isg_pack_options *o, isg_error *err)
{
    ISGI_TRY(isgi_put_number(out, o->class_count, err));
    for (uint32_t i = 0; i < o->class_count; i++) {
        const size_t n = strlen(o->class_names[i]);
        const isgi_text text = {o->class_names[i], (uint32_t)n};
        if (n > ISG_FORMAT_MAX_NAME)
            return isgi_fail(err, ISG_E_LIMIT, "the name of class %u is too long", (unsigned)i);
        ISGI_TRY(isgi_put_text(out, text, err));
    }
    return ISG_OK;
}

static isg_status put_meta(isgi_buffer *out, const isg_graph *g, const isg_pack_options *o, isg_error *err)
{
    const char *pairs[5][2] = {{"tool", "insitu " ISG_VERSION_STRING},
                               {"source_sha256", NULL},
                               {"producer", g->producer},
                               {"license", o->license ? o->license : g->license},
                               {"recipe", o->recipe}};
    char hash[65];
    uint32_t count = 0;
    for (int i = 0; i < 32; i++) {
        snprintf(hash + 2 * i, 3, "%02x", g->source_hash[i]);
        if (g->source_hash[i]) pairs[1][1] = hash;
    }
    for (int i = 0; i < 5; i++) count += pairs[i][1] && pairs[i][1][0];
    ISGI_TRY(isgi_put_number(out, count, err));
    for (int i = 0; i < 5; i++) {
        const char *key = pairs[i][0], *value = pairs[i][1];
        const isgi_text texts[2] = {{key, (uint32_t)strlen(key)}, {value, value ? (uint32_t)strlen(value) : 0}};
        if (!texts[1].bytes) continue;
        if (texts[1].bytes > VALUE_MAXIMUM) {
            return isgi_fail(err, ISG_E_LIMIT, "%s of more than %u bytes", key, VALUE_MAXIMUM);
        }
        ISGI_TRY(isgi_put_text(out, texts[0], err));
        ISGI_TRY(isgi_put_text(out, texts[1], err));
    }
    return ISG_OK;
}

static isg_status put_input(isgi_buffer *out, const isg_pack_options *o, isg_error *err)
{
    const isg_input_spec *s = o->input;
    uint8_t *p;
    ISGI_TRY(isgi_buffer_extend(out, ISG_FORMAT_INPUT_BYTES, &p, err));
    isgi_store_u32(p, s->channels);
    isgi_store_u32(p + 4, s->height);
    isgi_store_u32(p + 8, s->width);
    p[12] = s->bgr;
    p[13] = s->nhwc;
    p[14] = s->identity;
    isgi_store_f32(p + 16, s->scale);
    for (int i = 0; i < 4; i++) {
        isgi_store_f32(p + 20 + 4 * i, s->mean[i]);
        isgi_store_f32(p + 36 + 4 * i, s->std[i]);
    }
    isgi_store_u32(p + 52, s->resize);
    isgi_store_u32(p + 56, s->crop);
    isgi_store_u32(p + 60, (uint32_t)o->label_offset);
    return ISG_OK;
}

static isg_status put_activations(isgi_buffer *out, const isg_pack_options *o, isg_error *err)
{
    uint8_t *p;
    ISGI_TRY(isgi_buffer_extend(out, (size_t)o->activation_count * ISG_FORMAT_ACTIVATION_BYTES, &p, err));
    for (uint32_t i = 0; i < o->activation_count; i++, p += ISG_FORMAT_ACTIVATION_BYTES) {
        isgi_store_f32(p, o->activations[i].lo);
        isgi_store_f32(p + 4, o->activations[i].hi);
        isgi_store_f32(p + 8, o->activations[i].mid);
        isgi_store_f32(p + 12, o->activations[i].sum);
    }
    return ISG_OK;
}

static void add_section(packer *k, uint32_t kind, const isgi_buffer *b)
{
    if (b->size == 0) return;
    k->sections[k->count].kind = kind;
    k->sections[k->count].data = b->data;
    k->sections[k->count++].bytes = b->size;
}

static size_t aligned(size_t n)
{
    return (n + ISG_FORMAT_ALIGNMENT - 1) / ISG_FORMAT_ALIGNMENT * ISG_FORMAT_ALIGNMENT;
}

static isg_status assemble(const packer *k, void **image, size_t *bytes, isg_error *err)
{
    const size_t head = ISG_FORMAT_HEADER_BYTES + (size_t)k->count * ISG_FORMAT_SECTION_BYTES;
    size_t total = head;
    uint8_t *p;
    for (uint32_t i = 0; i < k->count; i++) {
        if (k->sections[i].bytes > SIZE_MAX / 2 - aligned(total)) return isgi_nomem(err);
        total = aligned(total) + k->sections[i].bytes;
    }
    p = isgi_calloc(total, 1);
    if (!p) return isgi_nomem(err);
    memcpy(p, ISG_FORMAT_MAGIC, 8);
    isgi_store_u16(p + ISG_FORMAT_AT_MAJOR, ISG_FORMAT_MAJOR);
    isgi_store_u16(p + ISG_FORMAT_AT_MINOR, ISG_FORMAT_MINOR);
    isgi_store_u64(p + ISG_FORMAT_AT_FILE_BYTES, total);
    isgi_store_u32(p + ISG_FORMAT_AT_SECTIONS, k->count);
    total = head;
    for (uint32_t i = 0; i < k->count; i++) {
        const section *s = &k->sections[i];
        uint8_t *entry = p + ISG_FORMAT_HEADER_BYTES + (size_t)i * ISG_FORMAT_SECTION_BYTES;
        total = aligned(total);
        memcpy(p + total, s->data, s->bytes);
        isgi_store_u32(entry, s->kind);
        isgi_store_u32(entry + 4, isgi_crc32c(0, s->data, s->bytes));
        isgi_store_u64(entry + 8, total);
        isgi_store_u64(entry + 16, s->bytes);
        total += s->bytes;
    }
    isgi_store_u32(p + ISG_FORMAT_AT_CRC, isgi_crc32c(0, p, head));
    *image = p;
    *bytes = total;
    return ISG_OK;
}

static isg_status fill_sections(packer *k, const isg_graph *g, const isg_pack_options *o, isg_error *err)
{
    ISGI_TRY(isgi_program_lower(&k->program, g, o, NULL, err));
    ISGI_TRY(isgi_program_write(&k->program, &k->graph, err));
    if (o->input && o->input->given) ISGI_TRY(put_input(&k->input, o, err));
    if (o->class_count) ISGI_TRY(put_class_names(&k->classes, o, err));
    ISGI_TRY(put_meta(&k->meta, g, o, err));
    add_section(k, ISG_SECTION_GRAPH, &k->graph);
    add_section(k, ISG_SECTION_WEIGHTS, &k->program.weights);
    add_section(k, ISG_SECTION_INPUT, &k->input);
    add_section(k, ISG_SECTION_CLASSES, &k->classes);
    add_section(k, ISG_SECTION_META, &k->meta);
    if (o->activation_count) ISGI_TRY(put_activations(&k->activations, o, err));
    add_section(k, ISG_SECTION_ACTIVATIONS, &k->activations);
    return ISG_OK;
}

/* Every image is opened once before anyone sees it: what the runtime refuses is refused here, with its reason. */
static isg_status finish(packer *k, const isg_pack_options *o, void **image, size_t *bytes, isg_error *err)
{
    isg_rt_model model;
    isg_status status = isg_rt_open(&model, *image, *bytes, err);
    if (status != ISG_OK || !o->golden) return status;
    ISGI_TRY(isgi_golden_write(&k->golden, &model, o->golden_seed, err));
    if (k->golden.size == 0) return ISG_OK;
    isg_free(*image);
    *image = NULL;
    add_section(k, ISG_SECTION_GOLDEN, &k->golden);
    return assemble(k, image, bytes, err);
}

const isg_pack_options isgi_pack_standard = {.struct_size = sizeof isgi_pack_standard, .raw_bits = 32, .bias_bits = 32};

static isg_status list_nodes(const isgi_program *p, int32_t **nodes, isg_error *err)
{
    *nodes = isgi_malloc(p->op_count * sizeof **nodes);
    if (!*nodes) return isgi_nomem(err);
    for (uint32_t i = 0; i < p->op_count; i++) (*nodes)[i] = p->ops[i].node;
    return ISG_OK;
}

isg_status isgi_pack_image(const isg_graph *g, const isg_pack_options *options, void **image, size_t *bytes,
                           int32_t **nodes, isg_error *err)
{
    const isg_pack_options *o = options ? options : &isgi_pack_standard;
    packer k;
    void *built = NULL;
    size_t size = 0;
    isg_status status;
    if (o->struct_size != sizeof *o) return isgi_fail(err, ISG_E_ARG, "packing options of another library version");
    if ((o->class_count && !o->class_names) || (o->activation_count && !o->activations))
        return isgi_fail(err, ISG_E_ARG, "class names or activation ranges are counted but not given");
    if (o->input && o->input->given && !isgi_input_fits(o->input))
        return isgi_fail(err, ISG_E_ARG, "the input contract has a value out of range");
    if ((o->raw_bits != 16 && o->raw_bits != 32) || (o->bias_bits != 16 && o->bias_bits != 32)) {
        return isgi_fail(err, ISG_E_ARG, "raw weights and biases have 16 or 32 bits");
    }
    memset(&k, 0, sizeof k);
    isgi_program_init(&k.program);
    isgi_buffer_init(&k.graph, SMALL_SECTION);
    isgi_buffer_init(&k.input, SMALL_SECTION);
    isgi_buffer_init(&k.classes, SMALL_SECTION);
    isgi_buffer_init(&k.meta, SMALL_SECTION);
    isgi_buffer_init(&k.activations, SMALL_SECTION);
    isgi_buffer_init(&k.golden, SMALL_SECTION);
    status = fill_sections(&k, g, o, err);
    if (status == ISG_OK) status = assemble(&k, &built, &size, err);
    if (status == ISG_OK) status = finish(&k, o, &built, &size, err);
    if (status == ISG_OK && nodes) status = list_nodes(&k.program, nodes, err);
    isgi_program_free(&k.program);
    isgi_buffer_free(&k.graph);
    isgi_buffer_free(&k.input);
    isgi_buffer_free(&k.classes);
    isgi_buffer_free(&k.meta);
    isgi_buffer_free(&k.activations);
    isgi_buffer_free(&k.golden);
    if (status != ISG_OK) {
        isg_free(built);
        return status;
    }
    *image = built;
    *bytes = size;
    return ISG_OK;
}

isg_status isg_pack_image(const isg_graph *g, const isg_pack_options *options, void **image, size_t *bytes,
                          isg_error *err)
{
    return isgi_pack_image(g, options, image, bytes, NULL, err);
}

isg_status isg_pack_file(const isg_graph *g, const isg_pack_options *options, const char *path, isg_error *err)
{
    isg_rt_model model;
    void *image;
    size_t bytes;
    isg_file file;
    isg_status status = isg_pack_image(g, options, &image, &bytes, err);
    if (status != ISG_OK) return status;
    status = isg_write_file(path, image, bytes, err);
    if (status != ISG_OK) goto done;
    status = isg_file_open(&file, path, err);
    if (status != ISG_OK) goto done;
    status = isg_rt_open(&model, file.data, file.size, err);
    if (status == ISG_OK && (file.size != bytes || memcmp(file.data, image, bytes) != 0)) {
        char name[160];
        status = isgi_fail(err, ISG_E_IO, "%s: reads back differently", isgi_escape(name, sizeof name, path));
    }
    isg_file_close(&file);
done:
    isg_free(image);
    return status;
}
