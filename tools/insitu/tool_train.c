/* SPDX-License-Identifier: Apache-2.0 */
/* Options and reports that the verbs which train or write .isg files share. */
#include "tool_train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CLASS_FILE (16u << 20)

static void train_options(tool_option list[TRAIN_OPTION_COUNT], isg_train_options *o)
{
    const tool_option rows[TRAIN_OPTION_COUNT] = {
        {"epochs", 'e', OPTION_U32, &o->epochs, "N",
         "passes over the training images (default 1, with --steps as many as these take); 0: follow --seconds"},
        {"seconds", 0, OPTION_REAL, &o->max_seconds, "S", "end this sitting after S seconds; go on with --resume"},
        {"max-time", 0, OPTION_TIME, &o->max_seconds, "DURATION", "the same as --seconds, as 90, 90s, 10m or 2h"},
        {"steps", 0, OPTION_U64, &o->max_steps, "N", "stop after N steps"},
        {"batch", 'b', OPTION_U32, &o->batch, "N", "images a step (default 128)"},
        {"optimizer", 0, OPTION_CHOICE, &o->optimizer, "sgd|radam|adamw", "default radam"},
        {"schedule", 0, OPTION_CHOICE, &o->schedule, "constant|cosine|exponential|onecycle", "default cosine"},
        {"lr", 0, OPTION_FLOAT, &o->learning_rate, "X", "learning rate (default 0.002)"},
        {"weight-decay", 0, OPTION_FLOAT, &o->weight_decay, "X", "default 0.0005"},
        {"momentum", 0, OPTION_FLOAT, &o->momentum, "X", "of sgd (default 0.9)"},
        {"warmup-steps", 0, OPTION_U32, &o->warmup_steps, "N", "steps until the full learning rate"},
        {"label-smoothing", 0, OPTION_FLOAT, &o->label_smoothing, "X", "share of the label spread over all classes"},
        {"distill", 0, OPTION_FLOAT, &o->distill_beta, "B", "weight of the teacher in the loss, 0..1"},
        {"temperature", 0, OPTION_FLOAT, &o->distill_temperature, "T", "of the distillation (default 3)"},
        {"ortho", 0, OPTION_FLOAT, &o->ortho_weight, "X", "weight of the orthonormality loss of the factors"},
        {"paper-clamp", 0, OPTION_FLAG, &o->paper_clamp, NULL, "clamp quantiser gradients as the authors' code does"},
        {"ema", 0, OPTION_FLOAT, &o->ema_decay, "D", "keep a running mean of the weights with this decay"},
        {"grad-clip", 0, OPTION_FLOAT, &o->grad_clip, "X", "limit of the gradient's global norm"},
        {"crop-pad", 0, OPTION_U32, &o->crop_pad, "N", "augment: random crop after padding by N pixels"},
        {"flip", 0, OPTION_FLAG, &o->flip, NULL, "augment: random horizontal flip"},
        {"cutout", 0, OPTION_U32, &o->cutout, "N", "augment: blank a square of N pixels"},
        {"teacher-views", 0, OPTION_U32, &o->teacher_views, "K",
         "show each image in K ways; the teacher sees each once, beforehand"},
        {"teacher-cache", 0, OPTION_TEXT, &o->teacher_cache, "FILE", "keep what the teacher says of them there"},
        {"validation", 0, OPTION_REAL, &o->validation_fraction, "F",
         "share of the images that picks the best epoch (default 0.1)"},
        {"renormalise", 0, OPTION_FLAG, &o->renormalise, NULL,
         "put BatchNorm back from statistics, fold it at the end"},
        {"checkpoint", 0, OPTION_TEXT, &o->checkpoint, "FILE",
         "keep a checkpoint there; one that exists is only taken with --resume"},
        {"checkpoint-seconds", 0, OPTION_REAL, &o->checkpoint_seconds, "S", "time between checkpoints (default 120)"},
        {"resume", 0, OPTION_FLAG, &o->resume, NULL, "go on from the checkpoint if there is one"},
        {"log", 0, OPTION_TEXT, &o->log_csv, "FILE.csv", "write one line a step"},
        {"match-teacher", 0, OPTION_FLAG, &o->match_teacher, NULL,
         "with --renormalise: start from the teacher's means and variances"},
        {"execution", 0, OPTION_CHOICE, &o->execution, "auto|generate|factored",
         "how factored layers run (default auto)"},
        {"precision", 0, OPTION_CHOICE, &o->precision, "f32|bf16|tf32", "of matrix work (default f32)"},
        {"device", 0, OPTION_TEXT, &o->device, "cpu|cuda[:N]|reference", "what runs the images (default cpu)"},
    };
    memcpy(list, rows, sizeof rows);
}

static int need(tool *t, const tool_usage *usage, const char *name)
{
    for (uint32_t i = 0; i < usage->option_count; i++) {
        const char *const *text = usage->options[i].target;
        if (!strcmp(usage->options[i].name, name) && !*text) return tool_usage_error(t, "--%s is needed", name);
    }
    return -1;
}

int tool_train_begin(tool *t, const tool_usage *usage, tool_option rows[TRAIN_OPTION_COUNT], isg_train_options *o,
                     int argc, char **argv, int *files)
{
    int code;
    isg_train_options_default(o);
    o->distill_beta = NAN; /* depends on the teacher */
    train_options(rows, o);
    code = tool_parse(t, usage, argc, argv, files);
    if (code < 0) code = need(t, usage, "output");
    if (code < 0) code = need(t, usage, "data");
    return code;
}

int tool_read_bits(tool *t, const char *text, uint8_t bits[3])
{
    const char *p = text;
    int n = 0;
    while (n < 3) {
        char *end;
        unsigned long value = strtoul(p, &end, 10);
        if (*p < '0' || *p > '9' || value < 1 || (value > 8 && value != 32)) break;
        bits[n++] = (uint8_t)value;
        if (*end == '\0') {
            if (n == 2) break;
            if (n == 1) bits[1] = bits[2] = bits[0];
            return EXIT_OK;
        }
        if (*end != ',') break;
        p = end + 1;
    }
    return tool_usage_error(t, "option --bits: expected Q or B,U,V with 1..8 or 32 each");
}

int tool_trains(const isg_train_options *o)
{
    return o->epochs > 0 || o->max_steps > 0 || o->max_seconds > 0.0;
}

int tool_train_unsaved(isg_status status, const isg_train_report *r)
{
    return status == ISG_E_IO && r->steps > 0;
}

int tool_refuse_training(tool *t)
{
    isg_train_options unused;
    tool_option rows[TRAIN_OPTION_COUNT];
    const char *names[TRAIN_OPTION_COUNT + 2] = {"teacher"};
    size_t i, n = 1;
    train_options(rows, &unused);
    for (i = 0; i < TRAIN_OPTION_COUNT; i++)
        if (strcmp(rows[i].name, "epochs") != 0) names[n++] = rows[i].name; /* it is what says so */
    return tool_refuse(t, names, "does nothing where nothing is trained (--epochs=0 without --seconds and --steps)");
}

int tool_check_train_options(tool *t, isg_train_options *o, const char *teacher)
{
    static const char *const distillation[] = {"temperature", NULL}, *const sgd[] = {"momentum", NULL};
    static const char *const saved[] = {"checkpoint-seconds", NULL};
    int code = EXIT_OK;
    if (tool_given(t, "batch") && (o->batch < 1 || o->batch > 65536))
        return tool_usage_error(t, "option --batch: 1 to 65536");
    if (tool_given(t, "seconds") && tool_given(t, "max-time"))
        return tool_usage_error(t, "--seconds and --max-time are one option: give either");
    if (o->resume && !o->checkpoint) return tool_usage_error(t, "--resume needs --checkpoint");
    if (t->max_memory) return tool_usage_error(t, "option --max-memory: training does not know its need beforehand");
    if (tool_given(t, "checkpoint-seconds") && o->checkpoint_seconds <= 0)
        return tool_usage_error(t, "option --checkpoint-seconds: more than 0");
    if (!teacher) code = tool_refuse(t, distillation, "needs --teacher");
    if (code == EXIT_OK && o->optimizer != ISG_OPT_SGD) code = tool_refuse(t, sgd, "goes with --optimizer=sgd");
    if (code == EXIT_OK && !o->checkpoint && !o->log_csv)
        code = tool_refuse(t, saved, "goes with --checkpoint or --log");
    if (tool_given(t, "steps") && !o->max_steps) return tool_usage_error(t, "option --steps: at least 1");
    if (tool_given(t, "steps") && !tool_given(t, "epochs")) o->epochs = 0; /* as many as that takes */
    return code;
}

/* A checkpoint that nobody asked to go on from is hours of somebody's work. */
static int check_checkpoint(tool *t, const isg_train_options *o)
{
    char shown[256];
    int code;
    if (!o->checkpoint) return EXIT_OK;
    code = tool_need_file(t, o->checkpoint);
    if (code != EXIT_OK || o->resume || !isg_same_file(o->checkpoint, o->checkpoint)) return code;
    return tool_usage_error(t, "%s: exists; go on from it with --resume, or remove it to begin anew",
                            tool_escape(shown, sizeof shown, o->checkpoint, strlen(o->checkpoint)));
}

int tool_check_train_outputs(tool *t, const char *output, const isg_train_options *o, const char *const inputs[2],
                             const char *data)
{
    const char *const written[] = {output, o->checkpoint, o->log_csv, o->teacher_cache};
    char lock[4096] = "", shown[256], *target = NULL;
    isg_error unwanted;
    int code = EXIT_OK;
    size_t i;
    if (o->checkpoint && isg_path_resolve(&target, o->checkpoint, &unwanted) == ISG_OK)
        snprintf(lock, sizeof lock, "%s.lock", target);
    isg_free(target);
    for (i = 0; code == EXIT_OK && i < sizeof written / sizeof *written; i++) {
        code = tool_check_output(t, written[i], inputs, 2, data);
        if (code == EXIT_OK && written[i] && *lock && tool_same_place(written[i], lock))
            code = tool_usage_error(t, "%s: the lock of the checkpoint has that name",
                                    tool_escape(shown, sizeof shown, written[i], strlen(written[i])));
    }
    if (code == EXIT_OK) code = check_checkpoint(t, o);
    return code == EXIT_OK && o->teacher_cache ? tool_need_file(t, o->teacher_cache) : code;
}

void tool_train_common(tool *t, isg_train_options *o)
{
    o->seed = t->seed;
    o->threads = t->threads;
    o->progress = tool_progress_callbacks(t);
    o->comm = t->comm;
}

int tool_train_error(tool *t, const char *path, const char *data, const isg_train_options *o, isg_status status,
                     const isg_error *err)
{
    const int named = tool_blames(err, o->checkpoint) || tool_blames(err, o->teacher_cache) ||
                      tool_blames(err, o->log_csv) || tool_blames_data(err, data);
    return tool_data_error(t, named || status == ISG_E_CANCELLED ? NULL : path, status, err);
}

static size_t largest(size_t a, size_t b, size_t c)
{
    const size_t ab = a > b ? a : b;
    return ab > c ? ab : c;
}

int tool_check_image(tool *t, const isg_dataset *ds, const char *data, const isg_input_spec *input, const char *path)
{
    const isg_train_options none = {.struct_size = sizeof none};
    uint32_t channels, height, width;
    isg_error err = {0};
    isg_status status;
    float *x;
    size_t h, w;
    isg_dataset_shape(ds, &channels, &height, &width, NULL);
    h = largest(height, input->height, input->crop);
    w = largest(width, input->width, input->crop);
    x = calloc(largest(channels, input->channels, 3) * (h + 1), (w + 1) * sizeof *x);
    if (!x) return tool_error(t, data, ISG_E_NOMEM, NULL);
    status = isg_dataset_load(ds, 0, input, x, &err);
    free(x);
    return status == ISG_OK ? EXIT_OK : tool_train_error(t, path, data, &none, status, &err);
}

/* "3, 5, 6, ..." of the classes that have no images. */
static void list_empty(char *dst, size_t size, const uint64_t *counts, uint32_t classes)
{
    size_t n = 0;
    uint32_t shown = 0, i;
    dst[0] = '\0';
    for (i = 0; i < classes; i++) {
        if (counts[i]) continue;
        if (shown++ == 8) {
            snprintf(dst + n, size - n, ", ...");
            return;
        }
        n += (size_t)snprintf(dst + n, size - n, "%s%u", n ? ", " : "", i);
    }
}

static int count_labels(tool *t, const isg_dataset *ds, const char *data, const isg_graph *g, int32_t offset,
                        uint64_t *counts)
{
    const isg_value *out = &g->values[g->outputs[0]];
    int64_t outputs = out->rank > 0 ? 1 : 0; /* of one image: [N,C] as well as [N,C,1,1] */
    char name[300], line[500];
    uint64_t i;
    int32_t k;
    for (k = 1; k < out->rank; k++) outputs = out->dims[k] > 0 ? outputs * out->dims[k] : 0;
    for (i = 0; i < isg_dataset_count(ds); i++) {
        const int32_t label = isg_dataset_label(ds, i);
        const int64_t output = (int64_t)label + offset;
        if (label >= 0) counts[label]++;
        if (outputs <= 0 || (output >= 0 && output < outputs)) continue;
        snprintf(line, sizeof line,
                 "insitu: error: %s: image %llu has label %d, output %lld of a network that has %lld",
                 tool_escape(name, sizeof name, data, strlen(data)), (unsigned long long)i, label, (long long)output,
                 (long long)outputs);
        tool_error_line(t, line, EXIT_USAGE);
        return EXIT_USAGE;
    }
    return EXIT_OK;
}

int tool_check_labels(tool *t, const isg_dataset *ds, const char *data, const isg_graph *g, int32_t offset)
{
    const uint32_t classes = isg_dataset_classes(ds);
    uint64_t *counts;
    char list[120];
    uint32_t empty = 0, last = 0, i;
    int code;
    if (!isg_dataset_has_labels(ds) || g->output_count < 1) return EXIT_OK;
    counts = calloc((size_t)classes + 1, sizeof *counts);
    if (!counts) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    code = count_labels(t, ds, data, g, offset, counts);
    for (i = 0; i < classes; i++) {
        if (counts[i]) continue;
        empty++;
        last = i;
    }
    if (code == EXIT_OK && empty == 1) tool_warning(t, data, "class %u has no images", last);
    if (code == EXIT_OK && empty > 1) {
        list_empty(list, sizeof list, counts, classes);
        tool_warning(t, data, "%u of %u classes have no images: %s", empty, classes, list);
    }
    free(counts);
    return code;
}

void tool_train_report(tool *t, cJSON *json, const isg_train_report *r)
{
    char text[32];
    cJSON *o;
    tool_progress_end(t);
    if (!json) {
        printf("trained    %llu steps, %u epochs, %.0f s, loss %.4f, training accuracy %.4f",
               (unsigned long long)r->steps, r->epochs, r->seconds, r->final_loss, r->train_accuracy);
        if (!isnan(r->validation_accuracy)) printf(", validation accuracy %.4f", r->validation_accuracy);
        putchar('\n');
        if (r->kept_start) puts("kept       the start: no epoch was better on the images held back");
        if (*r->device) printf("device     %s\n", r->device);
        if (r->ranks > 1) {
            printf("ranks      %u, each hands in %s a step to be summed and spends %.4f s on that and on waiting\n",
                   r->ranks, tool_bytes(text, sizeof text, r->step_bytes), r->step_wait_seconds);
        }
        return;
    }
    o = cJSON_AddObjectToObject(json, "training");
    cJSON_AddNumberToObject(o, "steps", (double)r->steps);
    cJSON_AddNumberToObject(o, "epochs", r->epochs);
    tool_json_number(o, "seconds", r->seconds);
    tool_json_number(o, "final_loss", r->final_loss);
    tool_json_number(o, "train_accuracy", r->train_accuracy);
    tool_json_number(o, "validation_accuracy", r->validation_accuracy);
    cJSON_AddBoolToObject(o, "kept_start", r->kept_start);
    if (*r->device) tool_json_text(o, "device", r->device);
    cJSON_AddNumberToObject(o, "ranks", r->ranks);
    if (r->ranks < 2) return;
    tool_json_number(o, "step_bytes", r->step_bytes);
    tool_json_number(o, "step_wait_seconds", r->step_wait_seconds);
}

static uint32_t known_dim(int64_t dim)
{
    return dim > 0 && dim <= UINT32_MAX ? (uint32_t)dim : 0;
}

int tool_graph_input(tool *t, isg_input_spec *input, const isg_graph *g, const char *path, const char *input_text,
                     const isg_input_spec *file)
{
    isg_error err = {0};
    const isg_value *value;
    memset(input, 0, sizeof *input);
    if (file) *input = *file;
    if (input_text && isg_input_spec_parse(input, input_text, &err) != ISG_OK)
        return tool_usage_error(t, "option --input: %s", err.message);
    if (g->input_count != 1) {
        err.status = ISG_E_UNSUPPORTED;
        snprintf(err.message, sizeof err.message, "network has %d inputs", g->input_count);
        return tool_error(t, path, ISG_E_UNSUPPORTED, &err);
    }
    value = &g->values[g->inputs[0]];
    input->channels = input->height = input->width = 0;
    if (value->rank != 4) return EXIT_OK;
    input->channels = known_dim(value->dims[input->nhwc ? 3 : 1]);
    input->height = known_dim(value->dims[input->nhwc ? 1 : 2]);
    input->width = known_dim(value->dims[input->nhwc ? 2 : 3]);
    return EXIT_OK;
}

char *tool_read_text(tool *t, const char *path, size_t max_bytes, int *code)
{
    isg_file file;
    isg_error err = {0};
    isg_status status = isg_file_open(&file, path, &err);
    char *text = NULL;
    if (status == ISG_OK) {
        if (file.size > max_bytes || (file.size && memchr(file.data, 0, file.size))) {
            status = err.status = ISG_E_FORMAT;
            snprintf(err.message, sizeof err.message, "not a text file of at most %zu bytes", max_bytes);
        } else {
            text = malloc(file.size + 1);
            if (text) {
                memcpy(text, file.data, file.size);
                text[file.size] = '\0';
            } else {
                status = ISG_E_NOMEM;
            }
        }
        isg_file_close(&file);
    }
    *code = status == ISG_OK ? EXIT_OK : tool_error(t, path, status, &err);
    return text;
}

static int names_add(tool_names *names, const char *text, size_t n)
{
    char **grown = realloc(names->items, (names->count + 1) * sizeof *grown);
    if (!grown) return 0;
    names->items = grown;
    grown[names->count] = malloc(n + 1);
    if (!grown[names->count]) return 0;
    memcpy(grown[names->count], text, n);
    grown[names->count++][n] = '\0';
    return 1;
}

int tool_names_read(tool *t, tool_names *names, const char *path)
{
    int code;
    char *text = tool_read_text(t, path, MAX_CLASS_FILE, &code), *line = text;
    while (text && *line) {
        size_t n = strcspn(line, "\r\n");
        if (!names_add(names, line, n)) {
            code = tool_error(t, NULL, ISG_E_NOMEM, NULL);
            break;
        }
        line += n;
        if (*line == '\r') line++;
        if (*line == '\n') line++;
    }
    free(text);
    return code;
}

int tool_names_of_dataset(tool *t, tool_names *names, const isg_dataset *ds)
{
    uint32_t i, n = isg_dataset_classes(ds);
    for (i = 0; i < n; i++)
        if (!isg_dataset_class_name(ds, i)) return EXIT_OK;
    for (i = 0; i < n; i++) {
        const char *name = isg_dataset_class_name(ds, i);
        if (!names_add(names, name, strlen(name))) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    }
    return EXIT_OK;
}

void tool_names_clear(tool_names *names)
{
    uint32_t i;
    for (i = 0; i < names->count; i++) free(names->items[i]);
    free(names->items);
    memset(names, 0, sizeof *names);
}

int tool_calibrate(tool *t, uint32_t activations, const isg_graph *g, const isg_dataset *ds,
                   const isg_input_spec *input, isg_pack_options *pack)
{
    const isg_progress progress = tool_progress_callbacks(t);
    isg_activation_range *ranges = NULL;
    isg_error err = {0};
    isg_status status;
    if (activations == 0 || activations == 32) return EXIT_OK;
    if (activations != 8) return tool_usage_error(t, "option --activations: 8 or 32 are possible");
    if (!ds) return tool_usage_error(t, "--activations=8 needs --data");
    status = isg_calibrate_activations(g, ds, input, 0, &progress, &ranges, &pack->activation_count, &err);
    tool_progress_end(t);
    if (status != ISG_OK) return tool_error(t, NULL, status, &err);
    pack->activations = ranges;
    return EXIT_OK;
}

/* Writes the image, unless it could not be run within --max-memory: what stands at its place stays then. */
static int write_image(tool *t, const void *image, size_t bytes, const char *path)
{
    isg_rt_options rt;
    isg_rt_model model;
    isg_rt_memory memory;
    isg_error err = {0};
    isg_status status;
    tool_options_init(t, &rt, 1, ISG_STRATEGY_AUTO);
    status = isg_rt_open(&model, image, bytes, &err);
    if (status == ISG_OK) status = isg_image_plan(&model, &rt, &memory, &err);
    if (status == ISG_E_LIMIT) {
        const isg_error why = err;
        snprintf(err.message, sizeof err.message, "nothing is written: %.170s", why.message);
        return tool_error(t, NULL, status, &err);
    }
    if (status == ISG_OK) status = isg_write_file(path, image, bytes, &err);
    return status == ISG_OK ? EXIT_OK : tool_error(t, path, status, &err);
}

/* Marks the layer of an operation: of those of one name the one with its place among the operations of that name. */
static void mark_slower(const tool_written *written, isg_session *session, uint32_t index, const isg_rt_op *op)
{
    uint32_t i, before = 0;
    uint8_t *mark = NULL;
    for (i = 0; i < index; i++) {
        isg_rt_op other;
        if (isg_rt_op_info(isg_session_context(session), i, &other) == ISG_OK && other.weight >= 0)
            before += other.name_bytes == op->name_bytes && !memcmp(other.name, op->name, op->name_bytes);
    }
    for (i = 0; i < written->layers->layer_count; i++) {
        const char *name = written->layers->layers[i].name;
        if (strlen(name) != op->name_bytes || memcmp(name, op->name, op->name_bytes) != 0) continue;
        mark = &written->marks[i];
        if (before-- == 0) break;
    }
    if (mark) *mark = 1; /* a weight that several operations share has one layer only */
}

static int find_slower(tool *t, const tool_model *m, const isg_rt_options *rt, tool_written *written)
{
    isg_session *session = NULL;
    isg_error err = {0};
    uint32_t i;
    const isg_status status = isg_session_create(&session, m->model, rt, &err);
    if (status != ISG_OK) return tool_error(t, m->path, status, &err);
    for (i = 0; i < isg_rt_op_count(isg_session_context(session)); i++) {
        isg_rt_op op;
        if (isg_rt_op_info(isg_session_context(session), i, &op) != ISG_OK || !tool_slower_than_dense(&op)) continue;
        written->slower++;
        if (written->layers) mark_slower(written, session, i, &op);
    }
    isg_session_destroy(session);
    return EXIT_OK;
}

int tool_write_isg(tool *t, const isg_graph *g, const isg_pack_options *options, const char *path,
                   tool_written *written)
{
    isg_rt_options rt;
    tool_model m;
    isg_error err = {0};
    double tolerance = 0.0;
    void *image = NULL;
    size_t bytes = 0;
    int code;
    isg_status status = isg_pack_image(g, options, &image, &bytes, &err);
    if (status != ISG_OK) return tool_error(t, path, status, &err);
    code = write_image(t, image, bytes, path);
    isg_free(image);
    if (code != EXIT_OK) return code;
    code = tool_model_open(t, &m, path, NULL, LABEL_OFFSET_UNSET);
    tool_options_init(t, &rt, 1, ISG_STRATEGY_AUTO);
    if (code == EXIT_OK) code = tool_model_sizes(t, &m, &rt, &written->sizes);
    if (code == EXIT_OK) code = find_slower(t, &m, &rt, written);
    if (code == EXIT_OK && options->golden) {
        status = isg_model_selftest(m.model, &rt, &written->selftest_error, &tolerance, &err);
        if (status == ISG_E_UNSUPPORTED) /* many outputs, or such that are no numbers: no golden pair is stored */
            written->selftest_error = (double)NAN;
        else if (status != ISG_OK)
            code = tool_error(t, path, status, &err);
    }
    if (code == EXIT_OK) {
        status = isg_model_accounting(m.model, UINT64_MAX, 0, &written->accounting, &err);
        if (status != ISG_OK) code = tool_error(t, path, status, &err);
    }
    tool_model_close(&m);
    return code;
}

void tool_written_report(cJSON *json, const char *path, const tool_written *written)
{
    char text[32], shown[256];
    const isg_accounting *a = &written->accounting;
    if (json) {
        tool_json_text(json, "output", path);
        tool_json_sizes(json, &written->sizes);
        cJSON_AddNumberToObject(json, "paper_ratio", a->paper_ratio);
        cJSON_AddNumberToObject(json, "file_ratio", a->file_ratio);
        tool_json_number(json, "selftest_error", written->selftest_error);
        return;
    }
    printf("written    %s, opened again, ", tool_escape(shown, sizeof shown, path, strlen(path)));
    if (isnan(written->selftest_error))
        printf("without a golden pair\n");
    else
        printf("selftest error %.2g\n", written->selftest_error);
    printf("file       %llu bytes (%s), %.3f %% of its float32 weights\n",
           (unsigned long long)written->sizes.file_bytes,
           tool_bytes(text, sizeof text, (double)written->sizes.file_bytes), 100.0 * a->file_ratio);
    printf("resident   %s of packed weights\n", tool_bytes(text, sizeof text, (double)written->sizes.resident_bytes));
    printf("peak       %s to run one item\n", tool_bytes(text, sizeof text, (double)written->sizes.peak_bytes));
    printf("paper      %.3f %% by the paper's accounting\n", 100.0 * a->paper_ratio);
    tool_slower_note(written->slower, 0);
}
