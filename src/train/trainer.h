/* SPDX-License-Identifier: Apache-2.0 */
/* The state of one training run, shared by its loop and its checkpoints. */
#ifndef INSITU_TRAIN_TRAINER_H
#define INSITU_TRAIN_TRAINER_H

#include <insitu/train.h>

#include "host/buffer.h"
#include "host/lock.h"
#include "train/batch.h"
#include "train/net.h"
#include "train/optim.h"

/* Where the run stands; everything but arrays that a checkpoint holds. */
typedef struct isgi_position {
    uint64_t step;
    uint64_t epoch, index; /* of the next batch */
    double seconds;        /* spent so far, earlier runs included */
    double epoch_loss;     /* of the running epoch: sum over images */
    uint64_t epoch_images, epoch_correct;
    double last_loss, last_accuracy; /* of the last complete epoch */
    double best_accuracy;            /* -1: none yet */
    uint64_t best_step;              /* after which it was; 0: the start's */
} isgi_position;

typedef struct isgi_trainer {
    isg_train_options o; /* defaults filled in */
    isg_graph *g;
    const isg_graph *source; /* the network as it was given */
    isgi_net *net, *teacher;
    float *views; /* [view][item][class]: the teacher's outputs where the run keeps to views (views.c), or NULL */
    uint32_t items, view_count;     /* with views: of the dataset; that the outputs are for */
    uint32_t views_done;            /* of view_count, those whose outputs are there */
    const isg_graph *teacher_graph; /* or NULL */
    isgi_device *device;            /* of both; NULL: the processor */
    isgi_optim *optim;
    isgi_feed *feed;
    isg_pool *pool;
    isgi_position at;
    float *best; /* params then running statistics of the best epoch; NULL without validation */
    isgi_buffer csv;
    size_t csv_sent;                                /* of it, to a log that can only be added to */
    uint8_t config[32];                             /* hash of everything that decides the curve */
    uint64_t started, last_checkpoint, last_report; /* nanoseconds */
    double seconds_before;                          /* of earlier runs */
    float *student_logits, *teacher_logits, *grad_logits, *x;
    int32_t *labels;
    uint64_t steps_before; /* of earlier runs */
    isgi_lock lock;        /* of the checkpoint */
    int unsaved;           /* a checkpoint or log could not be written, which ended the run: its result is still good */
} isgi_trainer;

/* ---- ranks (ranks.c); all of it does nothing for a process alone ---- */
/* The status of the lowest rank that failed, with its error, on all ranks. err must not be NULL. */
ISG_NODISCARD isg_status isgi_ranks_agree(const isgi_trainer *t, isg_status status, isg_error *err);
/* What all do in the coming step: rank 0 decides, any may cancel. */
typedef struct isgi_turn {
    double rate; /* learning rate */
    int out_of_time, cancelled;
} isgi_turn;
ISG_NODISCARD isg_status isgi_ranks_turn(const isgi_trainer *t, isgi_turn *turn, isg_error *err);
/* Sums of a step's or an epoch's figures. */
ISG_NODISCARD isg_status isgi_ranks_sum(const isgi_trainer *t, double *x, size_t n, isg_error *err);
/* Refuses ranks that were started on another network or other data, then gives all the state of rank 0. */
ISG_NODISCARD isg_status isgi_ranks_start(isgi_trainer *t, isg_error *err);

/* The CSV log: all of it, or what is new where it can only be added to. */
ISG_NODISCARD isg_status isgi_log_save(isgi_trainer *t, isg_error *err);
/* Atomic; docs/training.md describes the bytes. Also writes the log, first, so that it never lags behind; a log that
 * cannot be written is reported, but loses no checkpoint. */
ISG_NODISCARD isg_status isgi_checkpoint_save(isgi_trainer *t, isg_error *err);
/* Errors: IO, FORMAT, CHECKSUM, ARG (made by a run with other options, network or data). */
ISG_NODISCARD isg_status isgi_checkpoint_load(isgi_trainer *t, isg_error *err);
/* The same from memory, without the log; the parser alone. Nothing of t changes on an error. t->feed may be NULL. */
ISG_NODISCARD isg_status isgi_checkpoint_read(isgi_trainer *t, const void *bytes, size_t size, isg_error *err);
int isgi_checkpoint_exists(const char *path);
/* All that a checkpoint of rank 0 would hold, to every rank. */
ISG_NODISCARD isg_status isgi_checkpoint_share(isgi_trainer *t, isg_error *err);
/* Epochs or steps bound the run; max_seconds is then about one sitting only. */
static inline int isgi_bounded(const isg_train_options *o)
{
    return o->epochs != 0 || o->max_steps != 0;
}
/* Fills t->config. */
ISG_NODISCARD isg_status isgi_checkpoint_config(isgi_trainer *t, const isg_input_spec *input, int32_t label_offset,
                                                isg_error *err);

/* NUMERIC where an output of the teacher for the images it holds is not finite. */
ISG_NODISCARD isg_status isgi_teacher_finite(const isgi_trainer *t, isg_error *err);

/* ---- views (views.c) ---- */
/* Fills t->views for o.teacher_views, from o.teacher_cache where that file is, and lets the teacher go. Leaves the feed
 * anywhere. Cancelled, it keeps whole views in that file. Errors: NOMEM, LIMIT, CANCELLED, IO, and of the file FORMAT,
 * CHECKSUM, ARG (of another teacher, images or views). */
ISG_NODISCARD isg_status isgi_views_prepare(isgi_trainer *t, isg_error *err);
/* The file from memory, the parser alone. Nothing of t changes on an error. */
ISG_NODISCARD isg_status isgi_views_read(isgi_trainer *t, const uint8_t key[32], const void *bytes, size_t size,
                                         isg_error *err);
/* outputs[count][classes] of a batch. */
void isgi_views_take(const isgi_trainer *t, const isgi_batch *b, float *outputs);

/* ---- renormalisation (renorm.c) ---- */
/* Puts a BATCH_NORM behind every convolution that has none, with the statistics of the first `batches` batches and
 * gamma and beta such that the function in inference is unchanged; or, with o->match_teacher, such that the outputs get
 * the mean and variance that the teacher's convolution of the same name has. */
ISG_NODISCARD isg_status isgi_renorm_insert(isg_graph *g, const isg_graph *teacher, const isg_dataset *data,
                                            const isg_input_spec *input, const isg_train_options *o,
                                            isg_parallel parallel, isg_error *err);
/* Folds every BATCH_NORM that isgi_renorm_insert() made into the convolution before it, exactly where the weight is
 * dense or its last factor can have a scale a column; the others stay in the graph. */
ISG_NODISCARD isg_status isgi_renorm_fold(isg_graph *g, isg_error *err);

#endif
