/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of the tool share: options, errors and exit codes, progress, JSON, opened models. */
#ifndef INSITU_TOOL_H
#define INSITU_TOOL_H

#include <cjson/cJSON.h>
#include <insitu/insitu.h>
#include <stdio.h>

/* Exit codes (docs/cli.md). */
enum {
    EXIT_OK = 0,
    EXIT_RUNTIME = 1,
    EXIT_USAGE = 2,
    EXIT_UNSUPPORTED = 3,
    EXIT_CORRUPT = 4,
    EXIT_TARGET = 5,
    EXIT_INTERRUPTED = 130
};

struct tool_usage;
struct tool_option;

#define TOOL_MAX_OUTPUTS 4u
#define TOOL_MAX_GIVEN 64u
typedef struct tool {
    const char *verb;
    int json, quiet, terminal;
    uint64_t seed;
    uint32_t threads; /* 0: as many as the machine gives */
    uint32_t isa_mask;
    uint32_t mode;         /* isg_mode */
    uint64_t max_memory;   /* bytes; 0: as much as the machine has */
    const char *shape;     /* --shape: for every .onnx file that is opened, or NULL */
    int shape_used;        /* there was one */
    const char *importing; /* the .onnx file that is read, for warnings of it */
    int importing_again;   /* it was read before, and they were given */
    uint64_t progress_start, progress_last;
    uint64_t progress_first; /* how much was done when the stage began: a resumed run begins in the middle */
    char progress_stage[64];
    int progress_open; /* a bar stands on the current line */
    isg_pool *pool;
    isg_comm *comm;                        /* the ranks that train together, or NULL */
    int agreed;                            /* an error that all ranks know of: nothing is left to agree on */
    int silent;                            /* this is not rank 0, which speaks for all */
    isg_error held;                        /* the error of a silent rank: its line, with the exit code as offset */
    const char *outputs[TOOL_MAX_OUTPUTS]; /* files that this run replaces, checked against every input */
    uint32_t output_count;
    const char *given[TOOL_MAX_GIVEN]; /* names of the options on the command line, each once */
    uint32_t given_count;
    /* Set while a verb is asked what it takes, not run: tool_parse() hands its tables over and does no more. */
    void (*describe)(void *user, const struct tool_usage *usage, const struct tool_option *common, size_t count);
    void *describe_user;
} tool;

typedef struct tool_verb {
    const char *name, *summary;
    int (*run)(tool *t, const struct tool_verb *verb, int argc, char **argv);
} tool_verb;

extern const tool_verb tool_verbs[];
extern const size_t tool_verb_count;

/* ---- options ---- */
typedef enum option_kind {
    OPTION_FLAG,   /* int *, set to 1 */
    OPTION_TEXT,   /* const char ** */
    OPTION_U32,    /* uint32_t * */
    OPTION_U64,    /* uint64_t * */
    OPTION_I32,    /* int32_t * */
    OPTION_SIZE,   /* uint64_t *, bytes with suffix k, M or G (powers of 1000) */
    OPTION_REAL,   /* double *, finite */
    OPTION_TIME,   /* double *, seconds above 0, with suffix s, m or h */
    OPTION_FLOAT,  /* float *, finite */
    OPTION_CHOICE, /* uint32_t *: index into `choices`, words separated by '|' */
    OPTION_LIST    /* option_list *: every occurrence is kept */
} option_kind;

#define OPTION_LIST_MAX 256
typedef struct option_list {
    const char *items[OPTION_LIST_MAX];
    uint32_t count;
} option_list;

typedef struct tool_option {
    const char *name; /* without dashes */
    char letter;      /* 0: none */
    option_kind kind;
    void *target;
    const char *argument; /* shown in --help; the words of OPTION_CHOICE */
    const char *help;
} tool_option;

typedef struct tool_usage {
    const tool_verb *verb;
    const char *arguments; /* "FILE" */
    const char *details;   /* further text of --help, NULL: none */
    const tool_option *options;
    size_t option_count;
    int min_arguments, max_arguments; /* max < 0: any number */
    const char *idle;                 /* a common option that would change nothing here: refused; NULL: none */
} tool_usage;

#define OPTION_COUNT(list) (sizeof(list) / sizeof *(list))

/* Reads argv[0..argc-1] (behind the verb). Non-options are moved to the front of argv and *arguments counts them.
 * Returns -1 to go on, or an exit code (help was printed, or usage is wrong). */
int tool_parse(tool *t, const tool_usage *usage, int argc, char **argv, int *arguments);
/* Whether --help of the verb lists this one of the common options. */
int tool_option_listed(const tool_usage *usage, const tool_option *common);
/* The words of --isa that this CPU has, each behind a space, and the end of the line. */
void tool_print_isa(void);
/* Whether an option, by its long name, was on the command line. */
int tool_given(const tool *t, const char *name);
/* EXIT_USAGE with "option --NAME RULE" for the first of these long names (NULL ends them) that was given, else EXIT_OK:
 * for options that would change nothing here. */
int tool_refuse(tool *t, const char *const *names, const char *rule);
/* One "insitu: error: ..." line for wrong usage; returns EXIT_USAGE. */
int tool_usage_error(tool *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- errors ---- */
/* The first of two exit codes that is one of a failure. */
static inline int tool_worse(int code, int other)
{
    return code != EXIT_OK ? code : other;
}
/* Prints "insitu: error: PATH: message" (the path only where the message lacks it; path may be NULL). Returns the exit
 * code that belongs to the status. */
int tool_error(tool *t, const char *path, isg_status status, const isg_error *err);
int tool_exit_code(isg_status status);
/* The same where shapes that do not fit mean the wrong data or network was given: EXIT_USAGE for SHAPE. */
int tool_data_error(tool *t, const char *path, isg_status status, const isg_error *err);
/* Whether the message speaks of that file, or of data given as KIND:PATH; NULL: of none. */
int tool_blames(const isg_error *err, const char *path);
int tool_blames_data(const isg_error *err, const char *data);
/* Writes the whole line of an error, or keeps it where this rank is silent. */
void tool_error_line(tool *t, const char *line, int code);
/* A note on stderr unless --quiet. */
void tool_note(tool *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "insitu: warning: NAME: ..." on stderr, also with --quiet: what the user should know before trusting the result. */
void tool_warning(tool *t, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* s with control characters and broken UTF-8 as \xNN; returns dst. */
char *tool_escape(char *dst, size_t size, const char *s, size_t n);
/* Names in tables are never cut, so that they can be given back to --layer and recipes. The larger of `width` and the
 * columns that s takes when it is shown, within reason; and s on stdout, followed by what it lacks to `width`. */
int tool_name_width(int width, const char *s, size_t n);
void tool_print_name(const char *s, size_t n, int width);
/* EXIT_USAGE with a message when `output` (NULL: nothing to do) names the same file as one of the inputs (NULL entries
 * are skipped), as a file of the data `spec` (KIND:PATH or NULL), or as an earlier output, or is standard output ("-"
 * too), where the report goes. Links are seen through. */
int tool_check_output(tool *t, const char *output, const char *const *inputs, size_t count, const char *spec);
/* EXIT_USAGE where `path` is a pipe, a socket or a descriptor: it is to be read back. */
int tool_need_file(tool *t, const char *path);
/* Whether `path` is a pipe or a socket, which can be read only once. */
int tool_is_pipe(const char *path);
/* Whether two paths lead to one file, or would. */
int tool_same_place(const char *a, const char *b);

/* ---- ranks: mpirun -n N insitu train|tune (docs/cluster.md) ---- */
/* Joins the ranks if a launcher started several; without one nothing happens. Returns an exit code. */
int tool_ranks_start(tool *t);
/* Every rank passes its exit code; where one failed all get its code, and its line is written once. */
int tool_ranks_agree(tool *t, int code);
/* The last thing that a rank does; agrees first. */
int tool_ranks_end(tool *t, int code);

/* ---- progress and cancellation ---- */
/* keep: a repeated signal does not end the process, as a launcher may send one that came to all processes anyway. */
void tool_signals(int keep);
int tool_cancelled(void);
void tool_progress(tool *t, const char *stage, uint64_t done, uint64_t total, const char *text);
void tool_progress_end(tool *t);
/* The same for the library's long calls. */
isg_progress tool_progress_callbacks(tool *t);

/* ---- JSON ---- */
cJSON *tool_json(const char *verb); /* {"schema": "insitu.VERB/1"} */
void tool_json_text(cJSON *object, const char *key, const char *s);
void tool_json_text_n(cJSON *object, const char *key, const char *s, size_t n);
void tool_json_number(cJSON *object, const char *key, double value); /* null when not finite */
void tool_json_dims(cJSON *object, const char *key, const uint32_t *dims, uint32_t rank);
/* Prints the object on stdout and frees it. Returns EXIT_OK, or EXIT_RUNTIME when stdout fails. */
int tool_json_print(tool *t, cJSON *object);
/* Flushes stdout; EXIT_RUNTIME with a message when it fails. */
int tool_finish(tool *t, int code);

/* ---- CSV ---- */
typedef struct tool_csv {
    tool *t;
    const char *path;
    isg_writer *file; /* NULL: standard output */
    isg_status status;
    isg_error err;
} tool_csv;
/* s in quotation marks, doubled inside, to be freed; NULL where memory is short. */
char *tool_csv_quoted(const char *s);
/* path "-": standard output. What fails is told by tool_csv_close(), which is always called. */
void tool_csv_open(tool_csv *c, tool *t, const char *path, const char *head);
void tool_csv_text(tool_csv *c, const char *text); /* NULL: memory is short */
int tool_csv_close(tool_csv *c);

/* ---- models ---- */
typedef struct tool_model {
    const char *path;
    isg_model *model;
    isg_input_spec input; /* with channels, height and width of the network filled in where it takes images */
    int32_t label_offset;
    isg_rt_io in, out;            /* the first input and output */
    uint64_t in_count, out_count; /* numbers of one item */
    int fixed_batch;              /* the leading dimension is not symbolic: always as many items a run */
    uint32_t items;               /* how many those are; 1 as well where they cannot be told apart */
} tool_model;

#define LABEL_OFFSET_UNSET INT32_MIN

/* --shape, in the options of every verb that reads networks, and what it makes of the import. */
#define SHAPE_OPTION_ROW(t)                                                                                            \
    {                                                                                                                  \
        "shape", 0, OPTION_TEXT, &(t)->shape, "NAME=1x3x224x224,...",                                                  \
            "fix unknown dimensions of an .onnx file's inputs"                                                         \
    }
isg_onnx_options tool_import_options(tool *t, const char *path);
/* EXIT_USAGE where --shape was given and no file that was opened is an .onnx file; called when all are open. */
int tool_shape_check(tool *t);

/* Contract and label offset: from the command line when given, else from the file. Returns an exit code. */
int tool_model_open(tool *t, tool_model *m, const char *path, const char *input_text, int32_t label_offset);
void tool_model_close(tool_model *m);
/* UNSUPPORTED with a message unless the network has exactly one input, with items of which `together` says whether the
 * caller can run a fixed number at a time. */
int tool_model_single(tool *t, const tool_model *m, int together);
/* UNSUPPORTED with a message where a run takes a fixed batch of more than one item, unless they can be run together. */
int tool_model_items(tool *t, const tool_model *m, int together);
/* What isg_rt_options calls the batch for `items` items: a fixed one is a part of the network. */
uint32_t tool_run_batch(const tool_model *m, uint32_t items);
/* Copies of the last of `count` items to the end of a fixed batch, which has no gaps. */
void tool_fill_batch(const tool_model *m, float *items, uint64_t count);
/* Room for `batch` items of every output, of which the first is what verbs speak of: NULL where memory is short.
 * tool_outputs_free() takes NULL. */
float **tool_outputs_new(const tool_model *m, uint32_t batch);
void tool_outputs_free(const tool_model *m, float **outputs);
/* Numbers in one item of an input or output: the product of its dimensions but a symbolic (0) one. */
uint64_t tool_io_count(const isg_rt_io *io);
void tool_options_init(tool *t, isg_rt_options *options, uint32_t batch, uint32_t strategy);
/* The pool of --threads, made on first use; NULL after a message. */
isg_pool *tool_pool(tool *t);
uint32_t tool_threads(tool *t);
/* Three sizes that are never mixed: bytes of the file, packed weights in memory, and the most that one item needs
 * (image and workspace). */
typedef struct tool_sizes {
    uint64_t file_bytes, resident_bytes, peak_bytes, workspace_bytes;
} tool_sizes;
int tool_model_sizes(tool *t, const tool_model *m, const isg_rt_options *options, tool_sizes *sizes);
void tool_json_sizes(cJSON *object, const tool_sizes *sizes);

/* Opens the data and fits the model's contract to them: 8-bit data need a contract (--input or the file's own); float
 * arrays pass unchanged unless --input was given. */
int tool_data_open(tool *t, isg_dataset **ds, tool_model *m, const char *spec, isg_split split, const char *input_text);
/* The same contract logic without a packed model (compress, tune, train). */
int tool_contract(tool *t, isg_input_spec *input, const isg_dataset *ds, const char *model, const char *input_text);

/* A prepared graph from an .onnx or a .isg file. Returns an exit code. */
int tool_graph_open(tool *t, isg_graph **graph, const char *path);
/* The same of a model that is open, which may have come from a pipe. */
int tool_model_graph(tool *t, isg_graph **graph, const tool_model *m);

extern const char tool_modes[];      /* the words of --mode in the order of isg_mode */
extern const char tool_strategies[]; /* the words of --strategy in the order of isg_strategy */
const char *tool_strategy_name(uint32_t strategy);
const char *tool_mode_name(uint32_t mode);
/* "64x3x3x3" style text; a symbolic dimension is N. */
char *tool_dims(char *dst, size_t size, const uint32_t *dims, uint32_t rank);
/* "1.25 MB" style text. */
char *tool_bytes(char *dst, size_t size, double bytes);

/* ---- layers ---- */
/* "2,44", "2,-", "-,44" or "-" as the levels are on; "3,6,3" and the like, or "kept". Return dst. */
char *tool_layer_ranks(char *dst, size_t size, const isg_layer_report *l);
char *tool_layer_bits(char *dst, size_t size, const isg_layer_report *l);
/* Everything of a layer but its sensitivity. */
cJSON *tool_json_layer(const isg_layer_report *l);

/* ---- plans ---- */
/* Threads that find work in a layer, and its predicted time with them; both for `threads` at most. */
uint32_t tool_layer_threads(const isg_rt_op *op, uint32_t threads);
double tool_predicted_ms(const isg_rt_op *op, uint32_t threads);
/* Whether the cost model says that this compressed layer would be faster with plain float32 weights. */
int tool_slower_than_dense(const isg_rt_op *op);
/* What the layer reads and writes: packed weights, input and output in binary32. */
double tool_layer_bytes(const isg_rt_op *op);
/* Milliseconds that the layer takes at least: the roofline of `peaks` for the threads that find work. */
double tool_bound_ms(const isg_rt_op *op, const isg_peaks *peaks, uint32_t threads);
/* What a layer is called in these lines, not NUL-terminated. */
const char *tool_plan_name(const isg_rt_op *op, size_t *bytes);
/* width: of the column of names. other_ms: measured time of the same layer in a baseline, below 0: none. */
void tool_plan_head(int width);
void tool_plan_line(const isg_rt_op *op, int width, uint32_t threads, double ms, double other_ms, double bound_ms);
/* One line if any layer is slower compressed; nothing otherwise. */
void tool_slower_note(uint32_t layers, int measured_costs);

int cmd_info(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_check(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_compress(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_tune(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_train(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_eval(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_run(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_compare(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_sensitivity(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_methods(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_bench(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_sim(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_report(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_export(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_selftest(tool *t, const tool_verb *verb, int argc, char **argv);
int cmd_completion(tool *t, const tool_verb *verb, int argc, char **argv);

#endif
