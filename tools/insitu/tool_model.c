/* SPDX-License-Identifier: Apache-2.0 */
/* Opened models, the contract between data and network, sizes and threads of the tool. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define RANGE_ITEMS 16u /* of an array, looked at for numbers out of range */

const char tool_modes[] = "f32|int8|bf16";
const char tool_strategies[] = "auto|generate|half|factored|dense";

const char *tool_strategy_name(uint32_t strategy)
{
    static const char *const names[] = {"auto", "generate", "half", "factored", "dense"};
    return strategy < sizeof names / sizeof *names ? names[strategy] : "unknown";
}

const char *tool_mode_name(uint32_t mode)
{
    static const char *const names[] = {"f32", "int8", "bf16"};
    return mode < sizeof names / sizeof *names ? names[mode] : "unknown";
}

uint64_t tool_io_count(const isg_rt_io *io)
{
    uint64_t count = 1;
    uint32_t d;
    for (d = 0; d < io->rank; d++)
        if (io->dims[d]) count *= io->dims[d];
    return count;
}

/* What the network takes as an image; 0 where its input has no image form (then the data's own shape is used). */
static void fill_input_shape(tool_model *m)
{
    const uint32_t *d = m->in.dims;
    m->input.channels = m->input.height = m->input.width = 0;
    if (m->in.rank != 4) return;
    m->input.channels = m->input.nhwc ? d[3] : d[1];
    m->input.height = m->input.nhwc ? d[1] : d[2];
    m->input.width = m->input.nhwc ? d[2] : d[3];
}

/* Items of a fixed batch: what one input and every output begin with. */
static uint32_t fixed_items(const tool_model *m)
{
    const isg_rt_model *rt = isg_model_rt(m->model);
    uint32_t i;
    if (!m->fixed_batch || m->in.rank < 2 || isg_rt_input_count(rt) != 1) return 1;
    for (i = 0; i < isg_rt_output_count(rt); i++) {
        isg_rt_io io;
        if (isg_rt_output(rt, i, &io) != ISG_OK || io.rank < 1 || io.dims[0] != m->in.dims[0]) return 1;
    }
    return m->in.dims[0];
}

uint32_t tool_run_batch(const tool_model *m, uint32_t items)
{
    return m->fixed_batch ? 1 : items;
}

void tool_fill_batch(const tool_model *m, float *items, uint64_t count)
{
    for (; count < m->items; count++)
        memcpy(items + count * m->in_count, items + (count - 1) * m->in_count, (size_t)m->in_count * sizeof *items);
}

int tool_model_open(tool *t, tool_model *m, const char *path, const char *input_text, int32_t label_offset)
{
    const isg_onnx_options import = tool_import_options(t, path);
    isg_error err = {0};
    isg_status status;
    isg_file file;
    memset(m, 0, sizeof *m);
    m->path = path;
    status = isg_file_open(&file, path, &err);
    if (status == ISG_OK) status = isg_model_open_file(&m->model, &file, path, &import, &err);
    if (status != ISG_OK) return tool_error(t, path, status, &err);
    t->shape_used |= !isg_model_is_isg(m->model);
    m->input = isg_model_get_meta(m->model)->input;
    m->label_offset = isg_model_get_meta(m->model)->label_offset;
    if (label_offset != LABEL_OFFSET_UNSET) m->label_offset = label_offset;
    if (input_text) {
        status = isg_input_spec_parse(&m->input, input_text, &err);
        if (status != ISG_OK) return tool_usage_error(t, "option --input: %s", err.message);
    }
    status = isg_rt_input(isg_model_rt(m->model), 0, &m->in);
    if (status == ISG_OK) status = isg_rt_output(isg_model_rt(m->model), 0, &m->out);
    if (status != ISG_OK) return tool_error(t, path, status, NULL);
    m->in_count = tool_io_count(&m->in);
    m->out_count = tool_io_count(&m->out);
    m->fixed_batch = m->in.rank > 0 && m->in.dims[0] != 0;
    m->items = fixed_items(m);
    m->in_count /= m->items;
    m->out_count /= m->items;
    fill_input_shape(m);
    if (m->label_offset < 0 || (uint64_t)m->label_offset >= m->out_count)
        return tool_usage_error(t, "label offset %d is outside the network's %llu outputs", m->label_offset,
                                (unsigned long long)m->out_count);
    return EXIT_OK;
}

void tool_model_close(tool_model *m)
{
    isg_model_close(m->model);
    m->model = NULL;
}

int tool_model_single(tool *t, const tool_model *m, int together)
{
    isg_error err = {ISG_E_UNSUPPORTED, -1, ISG_ERROR_NONE, "network has more than one input"};
    if (isg_rt_input_count(isg_model_rt(m->model)) != 1) return tool_error(t, m->path, err.status, &err);
    return tool_model_items(t, m, together);
}

int tool_model_items(tool *t, const tool_model *m, int together)
{
    isg_error err = {ISG_E_UNSUPPORTED, -1, ISG_ERROR_NONE,
                     "network has a fixed batch; here data need 1 or a symbol as its leading dimension"};
    if (!m->fixed_batch || m->in.rank < 2 || m->in.dims[0] <= 1 || (together && m->items > 1)) return EXIT_OK;
    return tool_error(t, m->path, err.status, &err);
}

void tool_outputs_free(const tool_model *m, float **outputs)
{
    uint32_t i;
    for (i = 0; outputs && i < isg_rt_output_count(isg_model_rt(m->model)); i++) free(outputs[i]);
    free(outputs);
}

float **tool_outputs_new(const tool_model *m, uint32_t batch)
{
    const uint32_t count = isg_rt_output_count(isg_model_rt(m->model));
    float **outputs = calloc(count, sizeof *outputs);
    uint32_t i;
    for (i = 0; outputs && i < count; i++) {
        isg_rt_io io;
        if (isg_rt_output(isg_model_rt(m->model), i, &io) == ISG_OK)
            outputs[i] = calloc(batch, (size_t)tool_io_count(&io) * sizeof **outputs);
        if (outputs[i]) continue;
        tool_outputs_free(m, outputs);
        return NULL;
    }
    return outputs;
}

uint32_t tool_threads(tool *t)
{
    return t->threads ? t->threads : isg_host_threads();
}

isg_pool *tool_pool(tool *t)
{
    isg_error err = {0};
    isg_status status;
    if (t->pool) return t->pool;
    status = isg_pool_create(&t->pool, tool_threads(t), &err);
    if (status == ISG_OK) return t->pool;
    tool_error(t, NULL, status, &err);
    return NULL;
}

/* Beyond this the system would kill a process, this one or another. */
static uint64_t machine_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), bytes = sysconf(_SC_PAGESIZE);
    return pages > 0 && bytes > 0 ? (uint64_t)pages * (uint64_t)bytes : 0;
}

void tool_options_init(tool *t, isg_rt_options *options, uint32_t batch, uint32_t strategy)
{
    const isg_rt_options fresh = ISG_RT_OPTIONS_INIT;
    *options = fresh;
    options->batch = batch;
    options->isa_mask = t->isa_mask;
    options->strategy = strategy;
    options->mode = t->mode;
    options->max_memory = t->max_memory ? t->max_memory : machine_memory();
}

int tool_model_sizes(tool *t, const tool_model *m, const isg_rt_options *options, tool_sizes *sizes)
{
    isg_rt_memory memory;
    isg_error err = {0};
    isg_status status = isg_model_plan(m->model, options, &memory, &err);
    if (status != ISG_OK) return tool_error(t, m->path, status, &err);
    sizes->file_bytes = isg_model_file_bytes(m->model);
    sizes->resident_bytes = memory.weight_bytes;
    sizes->peak_bytes = memory.image_bytes + memory.workspace_bytes;
    sizes->workspace_bytes = memory.workspace_bytes;
    return EXIT_OK;
}

void tool_json_sizes(cJSON *object, const tool_sizes *sizes)
{
    cJSON_AddNumberToObject(object, "file_bytes", (double)sizes->file_bytes);
    cJSON_AddNumberToObject(object, "resident_bytes", (double)sizes->resident_bytes);
    cJSON_AddNumberToObject(object, "peak_bytes", (double)sizes->peak_bytes);
}

/* The least and largest number of a few items of an array, spread over it. 0: none could be loaded. */
static int array_range(const isg_dataset *ds, float range[2])
{
    const isg_input_spec as_stored = {.identity = 1, .given = 1};
    const uint64_t count = isg_dataset_count(ds), step = count > RANGE_ITEMS ? count / RANGE_ITEMS : 1;
    uint32_t channels, height, width;
    isg_error unwanted;
    uint64_t i, k, n;
    float *x;
    int found = 0;
    isg_dataset_shape(ds, &channels, &height, &width, NULL);
    n = (uint64_t)channels * height * width;
    x = calloc(n ? n : 1, sizeof *x);
    for (i = 0; x && i < count; i += step) {
        if (isg_dataset_load(ds, i, &as_stored, x, &unwanted) != ISG_OK) break;
        for (k = 0; k < n; k++) {
            if (!found || x[k] < range[0]) range[0] = x[k];
            if (!found || x[k] > range[1]) range[1] = x[k];
            found = 1;
        }
    }
    free(x);
    return found && isfinite(range[0]) && isfinite(range[1]);
}

/* Arrays may hold anything; a contract that divides by 255 says that they hold pixels, or hold what it makes of them.
 * Told is only what cannot be meant: numbers more than the whole width out of the range, or all within a sixtieth of
 * it, if they are not one number (black). */
static void check_range(tool *t, const isg_input_spec *input, const isg_dataset *ds)
{
    const char *name = isg_dataset_name(ds);
    const double top = 255.0 * (double)input->scale;
    double low = INFINITY, high = -INFINITY;
    float range[2];
    int c;
    if (t->quiet || strncmp(name, "npy:", 4) != 0 || !input->given || top < 0.99 || top > 2.01) return;
    if (!array_range(ds, range)) return;
    for (c = 0; c < 4; c++) {
        const double black = (0.0 - (double)input->mean[c]) / (double)input->std[c];
        const double white = (top - (double)input->mean[c]) / (double)input->std[c];
        low = fmin(low, fmin(black, white));
        high = fmax(high, fmax(black, white));
    }
    if (!input->identity && ((double)range[0] < -255.0 || (double)range[1] > 510.0 ||
                             (range[0] < range[1] && fmaxf(-range[0], range[1]) <= 4.0f)))
        tool_note(t, "warning: %s: numbers from %.5g to %.5g, where the input contract expects pixels of 0 to 255",
                  name, (double)range[0], (double)range[1]);
    if (input->identity && ((double)range[0] < 2.0 * low - high || (double)range[1] > 2.0 * high - low))
        tool_note(t,
                  "warning: %s: numbers from %.5g to %.5g are fed as they are, where the input contract makes %.5g to "
                  "%.5g of pixels (see --input)",
                  name, (double)range[0], (double)range[1], low, high);
}

int tool_contract(tool *t, isg_input_spec *input, const isg_dataset *ds, const char *model, const char *input_text)
{
    int is_float;
    char shown[256];
    isg_dataset_shape(ds, NULL, NULL, NULL, &is_float);
    if (is_float && !input_text) {
        input->identity = 1;
    } else if (!input->given) {
        return tool_usage_error(t, "%s says nothing of its input; give --input=raw|unit|torchvision|tf|KEY=VALUE,...",
                                tool_escape(shown, sizeof shown, model, strlen(model)));
    }
    check_range(t, input, ds);
    return EXIT_OK;
}

int tool_data_open(tool *t, isg_dataset **ds, tool_model *m, const char *spec, isg_split split, const char *input_text)
{
    isg_error err = {0};
    uint32_t channels, height, width;
    int code;
    isg_status status = isg_dataset_open(ds, spec, split, &err);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    code = tool_contract(t, &m->input, *ds, m->path, input_text);
    if (code != EXIT_OK) return code;
    isg_dataset_shape(*ds, &channels, &height, &width, NULL);
    if (!m->input.channels && (uint64_t)channels * height * width != m->in_count)
        return tool_usage_error(t, "data items have %llu numbers, the network takes %llu",
                                (unsigned long long)channels * height * width, (unsigned long long)m->in_count);
    return EXIT_OK;
}
