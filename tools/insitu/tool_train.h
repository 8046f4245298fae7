/* SPDX-License-Identifier: Apache-2.0 */
/* Options and reports that the verbs which train or write .isg files share. */
#ifndef INSITU_TOOL_TRAIN_H
#define INSITU_TOOL_TRAIN_H

#include "tool.h"

#define TRAIN_OPTION_COUNT 33

/* Fills *o with defaults (distill_beta: NaN, not asked for) and `rows`, a part of the verb's table, with the options of
 * training, then reads the command line; --output and --data, which the table has, are needed. Returns as tool_parse().
 */
int tool_train_begin(tool *t, const tool_usage *usage, tool_option rows[TRAIN_OPTION_COUNT], isg_train_options *o,
                     int argc, char **argv, int *files);
/* "3", or "3,6,3": bits of basis, U and V. */
int tool_read_bits(tool *t, const char *text, uint8_t bits[3]);
/* Whether epochs, steps or time were asked for. */
int tool_trains(const isg_train_options *o);
/* Options that contradict each other or would change nothing beside the others; fills in the epochs that steps take. */
int tool_check_train_options(tool *t, isg_train_options *o, const char *teacher);
/* EXIT_USAGE if an option of training was given: for a run that trains nothing. */
int tool_refuse_training(tool *t);
/* Whether training ended because a checkpoint or log could not be written, with a result. */
int tool_train_unsaved(isg_status status, const isg_train_report *r);
/* tool_check_output() of all files that training writes; inputs: source and teacher. A checkpoint that exists must be
 * meant (--resume). */
int tool_check_train_outputs(tool *t, const char *output, const isg_train_options *o, const char *const inputs[2],
                             const char *data);
/* What --seed, --threads, progress and signals say. */
void tool_train_common(tool *t, isg_train_options *o);
/* What isg_train() said: of the network at `path`, unless the message names the checkpoint, the log or the data itself.
 */
int tool_train_error(tool *t, const char *path, const char *data, const isg_train_options *o, isg_status status,
                     const isg_error *err);
/* Loads the first image as training will, so that data that do not fit are refused before anything else is said. */
int tool_check_image(tool *t, const isg_dataset *ds, const char *data, const isg_input_spec *input, const char *path);
/* EXIT_USAGE with a message where a label of the data has no output; a warning where a class has no images. */
int tool_check_labels(tool *t, const isg_dataset *ds, const char *data, const isg_graph *g, int32_t offset);
/* "trained ..." on stdout or the object "training". */
void tool_train_report(tool *t, cJSON *json, const isg_train_report *report);

/* Contract of a prepared graph's only input: --input text, else `file` (may be NULL); sizes from the graph.
 * Returns an exit code. */
int tool_graph_input(tool *t, isg_input_spec *input, const isg_graph *g, const char *path, const char *input_text,
                     const isg_input_spec *file);

/* Class names: lines of a file, or those that the dataset knows. */
typedef struct tool_names {
    char **items;
    uint32_t count;
} tool_names;
int tool_names_read(tool *t, tool_names *names, const char *path);
int tool_names_of_dataset(tool *t, tool_names *names, const isg_dataset *ds);
void tool_names_clear(tool_names *names);

/* A whole text file, NUL-terminated, to be freed; NULL after a message in *code. */
char *tool_read_text(tool *t, const char *path, size_t max_bytes, int *code);

/* Writes the graph, opens the file again, replays its golden pair and reports sizes and ratios of what was written, and
 * how many layers the planner thinks slower than plain float32 ones. */
typedef struct tool_written {
    tool_sizes sizes;
    isg_accounting accounting;
    double selftest_error; /* NaN: the file has no golden pair */
    uint32_t slower;
    const isg_compress_report *layers; /* in: whose slower ones are marked, or NULL */
    uint8_t *marks;                    /* in: [layer_count], zeros */
} tool_written;
/* With `activations` 8: measures the ranges that int8 needs on `ds` and puts them into *pack; they are freed with
 * isg_free(pack->activations) when the file is written. 0 and 32 do nothing. */
int tool_calibrate(tool *t, uint32_t activations, const isg_graph *g, const isg_dataset *ds,
                   const isg_input_spec *input, isg_pack_options *pack);
int tool_write_isg(tool *t, const isg_graph *g, const isg_pack_options *options, const char *path,
                   tool_written *written);
void tool_written_report(cJSON *json, const char *path, const tool_written *written);

#endif
