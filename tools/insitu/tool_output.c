/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and exit codes, the progress bar, cancellation by signals, JSON and text helpers of the tool. */
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "tool.h"

#define PREFIX "insitu: error: "
#define BAR_WIDTH 24
#define MAX_COLUMN 120               /* of names in a table; a longer one moves the rest of its line */
#define TERMINAL_PERIOD 100000000ull /* nanoseconds between two states of the bar */
#define PLAIN_PERIOD 5000000000ull   /* and between two plain lines */

#define SAME_SIGNAL_NS 500000000ull /* timeout(1) sends one signal twice, to the process and to its group */

static volatile sig_atomic_t cancel_requested, second_ends;
static atomic_ullong first_signal; /* when; another thread may handle the second */

static void on_signal(int number)
{
    if (!cancel_requested) {
        first_signal = isg_host_nanoseconds();
        cancel_requested = 1;
    } else if (second_ends && isg_host_nanoseconds() - first_signal > SAME_SIGNAL_NS) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

void tool_signals(int keep)
{
    struct sigaction action, old;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    second_ends = !keep;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL); /* what mpirun hands on without ending the job itself */
    sigaction(SIGHUP, NULL, &old);
    if (old.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, NULL); /* nohup stays nohup */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file size is an error of write(), as a full disk is */
}

int tool_cancelled(void)
{
    return cancel_requested != 0;
}

int tool_exit_code(isg_status status)
{
    switch (status) {
    case ISG_OK: return EXIT_OK;
    case ISG_E_ARG: return EXIT_USAGE;
    case ISG_E_UNSUPPORTED: return EXIT_UNSUPPORTED;
    case ISG_E_SHAPE: /* the model contradicts itself; see tool_data_error() for data that do not fit a model */
    case ISG_E_FORMAT:
    case ISG_E_VERSION:
    case ISG_E_CHECKSUM: return EXIT_CORRUPT;
    case ISG_E_TARGET: return EXIT_TARGET;
    case ISG_E_CANCELLED: return EXIT_INTERRUPTED;
    default: return EXIT_RUNTIME;
    }
}

void tool_error_line(tool *t, const char *line, int code)
{
    tool_progress_end(t);
    if (!t->silent) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    t->held.status = ISG_E_INTERNAL; /* any that is none; the code is what counts */
    t->held.offset = (uint64_t)code;
    snprintf(t->held.message, sizeof t->held.message, PREFIX "rank %u: %.180s", t->comm ? t->comm->rank : 0,
             line + (strncmp(line, PREFIX, sizeof PREFIX - 1) ? 0 : sizeof PREFIX - 1));
}

int tool_error(tool *t, const char *path, isg_status status, const isg_error *err)
{
    char shown[512], message[512], line[1100];
    const int lost = t->comm && t->comm->broken; /* that is no fault of a file */
    const char *text = err && err->status == status ? err->message : isg_status_text(status);
    tool_escape(message, sizeof message, text, strlen(text));
    if (path) tool_escape(shown, sizeof shown, path, strlen(path));
    if (path && !lost && !strstr(message, shown))
        snprintf(line, sizeof line, PREFIX "%s: %s", shown, message);
    else
        snprintf(line, sizeof line, PREFIX "%s", message);
    tool_error_line(t, line, tool_exit_code(status));
    return tool_exit_code(status);
}

int tool_blames(const isg_error *err, const char *path)
{
    char shown[512];
    return path && strstr(err->message, tool_escape(shown, sizeof shown, path, strlen(path)));
}

int tool_blames_data(const isg_error *err, const char *data)
{
    const char *colon = data ? strchr(data, ':') : NULL;
    return colon && tool_blames(err, colon + 1);
}

int tool_data_error(tool *t, const char *path, isg_status status, const isg_error *err)
{
    const int code = tool_error(t, path, status, err);
    return status == ISG_E_SHAPE ? EXIT_USAGE : code;
}

void tool_note(tool *t, const char *format, ...)
{
    char message[1024], shown[1024];
    va_list args;
    if (t->quiet) return;
    tool_progress_end(t);
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    fprintf(stderr, "insitu: %s\n", tool_escape(shown, sizeof shown, message, strlen(message)));
}

void tool_warning(tool *t, const char *name, const char *format, ...)
{
    char shown[300];
    va_list args;
    if (t->silent) return;
    tool_progress_end(t);
    fprintf(stderr, "insitu: warning: %s: ", tool_escape(shown, sizeof shown, name, strlen(name)));
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

/* Length of the well-formed UTF-8 sequence at p, or 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length, i;
    uint32_t code;
    if (*p < 0x80) return *p >= 32 && *p != 127 ? 1 : 0;
    length = *p >= 0xf0 && *p < 0xf8 ? 4 : *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xc0 && *p < 0xe0 ? 2 : 0;
    if (length == 0 || length > n) return 0;
    code = *p & (0x7fu >> length);
    for (i = 1; i < length; i++) {
        if ((p[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || code < 0xa0) return 0;
    return length;
}

/* The first character of s as it is shown; returns how many bytes it took. */
static size_t show_one(char dst[5], const char *s, size_t n)
{
    const size_t length = utf8_length((const unsigned char *)s, n);
    if (!length) {
        snprintf(dst, 5, "\\x%02x", (unsigned char)*s);
        return 1;
    }
    memcpy(dst, s, length);
    dst[length] = '\0';
    return length;
}

char *tool_escape(char *dst, size_t size, const char *s, size_t n)
{
    size_t out = 0, i = 0;
    while (i < n) {
        char one[5];
        const size_t took = show_one(one, s + i, n - i), length = strlen(one);
        if (out + length + 1 > size) break;
        memcpy(dst + out, one, length);
        out += length;
        i += took;
    }
    dst[out] = '\0';
    return dst;
}

int tool_name_width(int width, const char *s, size_t n)
{
    int columns = 0;
    for (size_t i = 0; i < n && columns < MAX_COLUMN;) {
        char one[5];
        i += show_one(one, s + i, n - i);
        columns += *one == '\\' ? (int)strlen(one) : 1;
    }
    if (columns > MAX_COLUMN) columns = MAX_COLUMN;
    return columns > width ? columns : width;
}

void tool_print_name(const char *s, size_t n, int width)
{
    int columns = 0;
    for (size_t i = 0; i < n;) {
        char one[5];
        i += show_one(one, s + i, n - i);
        fputs(one, stdout);
        if (columns < width) columns += *one == '\\' ? (int)strlen(one) : 1;
    }
    printf("%*s", columns < width ? width - columns : 0, "");
}

/* Files that the data KIND:PATH may be read from, in the folder PATH. */
static int is_in_folder(const char *output, const char *folder)
{
    static const char *const names[] = {"train-images-idx3-ubyte",
                                        "train-labels-idx1-ubyte",
                                        "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte",
                                        "train.bin",
                                        "test.bin",
                                        "data_batch_1.bin",
                                        "data_batch_2.bin",
                                        "data_batch_3.bin",
                                        "data_batch_4.bin",
                                        "data_batch_5.bin",
                                        "test_batch.bin"};
    char path[4096];
    size_t i;
    for (i = 0; i < 2 * sizeof names / sizeof *names; i++) {
        const int n = snprintf(path, sizeof path, "%s/%s%s", folder, names[i / 2], i % 2 ? ".gz" : "");
        if (n > 0 && (size_t)n < sizeof path && isg_same_file(output, path)) return 1;
    }
    return 0;
}

/* Whether `output` is an existing file that the data KIND:PATH[,PATH] are read from: one of the arrays, a file of a
 * data set's name by whatever link, or one with the ending of a picture one folder (folder: two) below PATH. */
static int is_data_file(const char *output, const char *spec)
{
    static const char *const endings[] = {".bin", "-ubyte", ".gz", ".jpg", ".jpeg", ".png"};
    const char *path = strchr(spec, ':');
    const size_t n = strlen(output);
    char text[4096];
    size_t i;
    int levels;
    if (!path || strlen(++path) + 1 > sizeof text || n + 7 > sizeof text) return 0;
    if (!strncmp(spec, "npy:", 4)) {
        char *comma;
        memcpy(text, path, strlen(path) + 1);
        comma = strchr(text, ',');
        if (comma) *comma = '\0';
        return isg_same_file(output, text) || (comma && isg_same_file(output, comma + 1));
    }
    if (is_in_folder(output, path)) return 1;
    for (i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t length = strlen(endings[i]);
        if (n > length && !strcasecmp(output + n - length, endings[i])) break;
    }
    if (i == sizeof endings / sizeof *endings || !isg_same_file(output, output)) return 0;
    memcpy(text, output, n + 1);
    for (levels = 0; levels < 2; levels++) {
        char *slash = strrchr(text, '/');
        snprintf(slash ? slash + 1 : text, 3, levels ? ".." : ".");
        if (isg_same_file(text, path)) return 1;
    }
    return 0;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int is_same_place(const char *a, const char *b)
{
    const char *paths[2] = {a, b};
    char folders[2][4096];
    struct stat info;
    int i;
    if (!strcmp(a, b)) return 1;
    if (isg_same_file(a, b)) return stat(a, &info) == 0 && S_ISREG(info.st_mode);
    if (strcmp(last_name(a), last_name(b)) != 0) return 0;
    for (i = 0; i < 2; i++) {
        const size_t n = (size_t)(last_name(paths[i]) - paths[i]);
        if (n + 2 > sizeof folders[i]) return 0;
        memcpy(folders[i], paths[i], n);
        memcpy(folders[i] + n, ".", 2);
    }
    return isg_same_file(folders[0], folders[1]);
}

int tool_same_place(const char *a, const char *b)
{
    char *ends[2] = {NULL, NULL};
    isg_error unwanted;
    int same = 0;
    if (isg_path_resolve(&ends[0], a, &unwanted) == ISG_OK && isg_path_resolve(&ends[1], b, &unwanted) == ISG_OK)
        same = is_same_place(ends[0], ends[1]);
    isg_free(ends[0]);
    isg_free(ends[1]);
    return same;
}

/* A place that cannot be written shows before the work. A pipe or a device is opened when there is something for it. */
static int check_place(tool *t, const char *output)
{
    isg_writer *w = NULL;
    isg_error err = {0};
    struct stat info;
    isg_status status;
    if ((t->comm && t->comm->rank > 0) || (isg_path_descriptor(output) < 0 && stat(output, &info) == 0 &&
                                           !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)))
        return EXIT_OK;
    status = isg_writer_open(&w, output, &err);
    if (status != ISG_OK) return tool_error(t, output, status, &err);
    isg_writer_abort(w);
    return EXIT_OK;
}

int tool_is_pipe(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

int tool_need_file(tool *t, const char *path)
{
    char shown[256];
    if (!path || (isg_path_descriptor(path) < 0 && !tool_is_pipe(path))) return EXIT_OK;
    return tool_usage_error(t, "%s: must be a file that can be read back",
                            tool_escape(shown, sizeof shown, path, strlen(path)));
}

static int is_standard_output(const char *path)
{
    struct stat named, out;
    if (isg_path_descriptor(path) == 1) return 1;
    return stat(path, &named) == 0 && fstat(1, &out) == 0 && !S_ISCHR(out.st_mode) && named.st_dev == out.st_dev &&
           named.st_ino == out.st_ino;
}

int tool_check_output(tool *t, const char *output, const char *const *inputs, size_t count, const char *spec)
{
    size_t i;
    char shown[256];
    if (!output) return EXIT_OK;
    tool_escape(shown, sizeof shown, output, strlen(output));
    if (!strcmp(output, "-"))
        return tool_usage_error(
            t, "-: standard output is where the report goes; name a file, or ./- where that is its name");
    if (is_standard_output(output))
        return tool_usage_error(t, "%s: standard output is where the report goes; name a file", shown);
    for (i = 0; i < count; i++)
        if (inputs[i] && isg_same_file(output, inputs[i]))
            return tool_usage_error(t, "%s: output is the same file as an input", shown);
    if (spec && is_data_file(output, spec)) return tool_usage_error(t, "%s: output is a file of the data", shown);
    for (i = 0; i < t->output_count; i++)
        if (tool_same_place(output, t->outputs[i]))
            return tool_usage_error(t, "%s: two outputs are the same file", shown);
    if (t->output_count < TOOL_MAX_OUTPUTS) t->outputs[t->output_count++] = output;
    return check_place(t, output);
}

static void draw_bar(tool *t, uint64_t done, uint64_t total, const char *text, double seconds)
{
    char bar[BAR_WIDTH + 1], left[32] = "";
    double share = total ? (double)done / (double)total : 0.0;
    int filled = (int)(share * BAR_WIDTH + 0.5);
    if (filled > BAR_WIDTH) filled = BAR_WIDTH;
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    if (total > done && done > t->progress_first && seconds > 1.0) {
        double rest = seconds / (double)(done - t->progress_first) * (double)(total - done);
        if (rest < 90.0)
            snprintf(left, sizeof left, "  ETA %.0f s", rest);
        else if (rest < 5400.0)
            snprintf(left, sizeof left, "  ETA %.0f min", rest / 60.0);
        else
            snprintf(left, sizeof left, "  ETA %.1f h", rest / 3600.0);
    }
    if (t->terminal) {
        fprintf(stderr, "\r\033[K%s [%s] %3.0f%%%s  %.72s", t->progress_stage, bar, share * 100.0, left, text);
        t->progress_open = 1;
    } else if (total == 100) {
        fprintf(stderr, "%s %llu %%%s%s%s\n", t->progress_stage, (unsigned long long)done, left, *text ? "  " : "",
                text);
    } else if (total) {
        fprintf(stderr, "%s %llu/%llu%s%s%s\n", t->progress_stage, (unsigned long long)done, (unsigned long long)total,
                left, *text ? "  " : "", text);
    } else {
        fprintf(stderr, "%s %llu%s%s\n", t->progress_stage, (unsigned long long)done, *text ? "  " : "", text);
    }
    fflush(stderr);
}

void tool_progress(tool *t, const char *stage, uint64_t done, uint64_t total, const char *text)
{
    uint64_t now = isg_host_nanoseconds(), period = t->terminal ? TERMINAL_PERIOD : PLAIN_PERIOD;
    char shown[200];
    int fresh = strncmp(stage ? stage : "", t->progress_stage, sizeof t->progress_stage - 1) != 0;
    if (t->quiet) return;
    if (fresh) {
        tool_progress_end(t);
        snprintf(t->progress_stage, sizeof t->progress_stage, "%s", stage ? stage : "");
        t->progress_start = t->progress_last = now;
        t->progress_first = done;
        if (!t->terminal) return;
    }
    if (!fresh && now - t->progress_last < period && !(total && done >= total && t->terminal)) return;
    t->progress_last = now;
    tool_escape(shown, sizeof shown, text ? text : "", text ? strlen(text) : 0);
    draw_bar(t, done, total, shown, (double)(now - t->progress_start) * 1e-9);
}

void tool_progress_end(tool *t)
{
    if (t->progress_open) fputs("\r\033[K", stderr);
    t->progress_open = 0;
    t->progress_stage[0] = '\0';
}

static void report_progress(void *user, const char *stage, uint64_t done, uint64_t total, const char *text)
{
    tool_progress(user, stage, done, total, text);
}

static int ask_cancelled(void *user)
{
    (void)user;
    return tool_cancelled();
}

isg_progress tool_progress_callbacks(tool *t)
{
    isg_progress progress = {report_progress, ask_cancelled, t};
    return progress;
}

cJSON *tool_json(const char *verb)
{
    cJSON *object = cJSON_CreateObject();
    char schema[64];
    snprintf(schema, sizeof schema, "insitu.%s/1", verb);
    cJSON_AddStringToObject(object, "schema", schema);
    return object;
}

void tool_json_text_n(cJSON *object, const char *key, const char *s, size_t n)
{
    char *text;
    if (!s) {
        cJSON_AddNullToObject(object, key);
        return;
    }
    text = malloc(4 * n + 1);
    if (!text) return;
    cJSON_AddStringToObject(object, key, tool_escape(text, 4 * n + 1, s, n));
    free(text);
}

void tool_json_text(cJSON *object, const char *key, const char *s)
{
    tool_json_text_n(object, key, s, s ? strlen(s) : 0);
}

void tool_json_number(cJSON *object, const char *key, double value)
{
    if (isfinite(value))
        cJSON_AddNumberToObject(object, key, value);
    else
        cJSON_AddNullToObject(object, key);
}

void tool_json_dims(cJSON *object, const char *key, const uint32_t *dims, uint32_t rank)
{
    cJSON *list = cJSON_AddArrayToObject(object, key);
    uint32_t i;
    for (i = 0; i < rank; i++) cJSON_AddItemToArray(list, cJSON_CreateNumber(dims[i]));
}

int tool_finish(tool *t, int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    (void)t;
    fputs("insitu: error: standard output: cannot write\n", stderr);
    return code ? code : EXIT_RUNTIME;
}

int tool_json_print(tool *t, cJSON *object)
{
    char *text = cJSON_Print(object);
    cJSON_Delete(object);
    if (!text) return tool_error(t, NULL, ISG_E_NOMEM, NULL);
    puts(text);
    cJSON_free(text);
    return EXIT_OK;
}

char *tool_dims(char *dst, size_t size, const uint32_t *dims, uint32_t rank)
{
    size_t n = 0;
    uint32_t i;
    dst[0] = '\0';
    for (i = 0; i < rank && n + 12 < size; i++) {
        if (dims[i])
            n += (size_t)snprintf(dst + n, size - n, "%s%u", i ? "x" : "", dims[i]);
        else
            n += (size_t)snprintf(dst + n, size - n, "%sN", i ? "x" : "");
    }
    return dst;
}

char *tool_bytes(char *dst, size_t size, double bytes)
{
    if (bytes < 10e3)
        snprintf(dst, size, "%.0f B", bytes);
    else if (bytes < 10e6)
        snprintf(dst, size, "%.1f kB", bytes / 1e3);
    else
        snprintf(dst, size, "%.2f MB", bytes / 1e6);
    return dst;
}
