/* SPDX-License-Identifier: Apache-2.0 */
/* Training of dense networks and of factors: built-in architectures, losses, optimisers, checkpoints. */
#ifndef INSITU_TRAIN_H
#define INSITU_TRAIN_H

#include <insitu/comm.h>
#include <insitu/data.h>
#include <insitu/graph.h>
#include <insitu/host.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum isg_optimizer { ISG_OPT_SGD = 0, ISG_OPT_RADAM = 1, ISG_OPT_ADAMW = 2 } isg_optimizer;
typedef enum isg_schedule {
    ISG_SCHEDULE_CONSTANT = 0,
    ISG_SCHEDULE_COSINE = 1,
    ISG_SCHEDULE_EXPONENTIAL = 2,
    ISG_SCHEDULE_ONECYCLE = 3
} isg_schedule;

/* How convolutions with factored weights run in training. Both compute the same function (SPEC section 2) in another
 * order of summation. AUTO: a layer at a time, whichever has fewer multiply-adds. FACTORED: wherever there is a way. */
typedef enum isg_execution {
    ISG_EXECUTION_AUTO = 0,
    ISG_EXECUTION_GENERATE = 1,
    ISG_EXECUTION_FACTORED = 2
} isg_execution;

/* Of the matrix work of convolutions. BF16 rounds what enters a product and sums in binary32; masters, gradients,
 * normalisation and everything else stay binary32. A layer that the machine has no bf16 code for runs in F32, and so do
 * factors that run as they are. TF32 is for a device: operands of products are rounded to 10 bits of mantissa, sums are
 * binary32. */
typedef enum isg_precision { ISG_PRECISION_F32 = 0, ISG_PRECISION_BF16 = 1, ISG_PRECISION_TF32 = 2 } isg_precision;

/* What a dense weight is made of before it is used: `count` numbers of graph value `value`, in ONNX order, from master
 * to w. Called by several threads at once, each with another weight. */
typedef isg_status isg_project_fn(void *user, const char *value, const float *master, float *w, size_t count,
                                  isg_error *err);

typedef struct isg_train_options {
    uint32_t struct_size;
    uint32_t epochs, batch; /* 0: 1, 128 */
    uint64_t max_steps;     /* 0: none */
    /* 0: none. With epochs or max_steps: length of this sitting; the schedule follows the steps and a later call with
     * `resume` goes on as if there had been no break. Alone: length of the whole run, resumed calls included; the
     * schedule follows the time spent. */
    double max_seconds;
    uint32_t optimizer, schedule;
    float learning_rate, weight_decay, momentum; /* momentum: SGD */
    float label_smoothing;
    /* distillation (SPEC section 6): weight beta (0: off), temperature */
    float distill_beta, distill_temperature;
    float ortho_weight; /* SPEC section 5 lambda */
    int paper_clamp;    /* released code's STE clamp */
    uint32_t warmup_steps;
    float ema_decay; /* 0: off */
    float grad_clip; /* global norm; 0: off */
    /* augmentation of cifar/idx images */
    uint32_t crop_pad;          /* random crop after zero padding by this many pixels */
    int flip;                   /* random horizontal flip */
    uint32_t cutout;            /* side in pixels; 0: off */
    double validation_fraction; /* cut from the training set by seed; picks the best epoch; 0: none */
    int renormalise;            /* re-insert BatchNorm from measured statistics, fold again at the end */
    uint64_t seed;
    uint32_t threads;
    const char *checkpoint;    /* path; NULL: none. Locked meanwhile (PATH.lock): a second run on it is an IO error */
    double checkpoint_seconds; /* interval; 0: 120 */
    int resume;                /* continue from `checkpoint` if it exists: of the same options, data and networks as
                                * they were when that run began (ARG otherwise) */
    const char *log_csv; /* NULL: none. Replaced as a whole; a device or descriptor is added to, a named pipe refused */
    uint32_t execution;  /* isg_execution */
    uint32_t precision;  /* isg_precision; a teacher's too */
    /* with renormalise and a teacher: gamma and beta from the statistics of the teacher's convolution of the same name,
     * as the paper copies them, so that a student whose few factors leave every Relu shut starts alive. The function
     * changes. */
    int match_teacher;
    /* With distillation (ARG without). 0: the teacher runs beside every step. Otherwise epoch e shows every image in
     * its view e modulo this number, and the teacher's outputs for all of them (4 bytes a view, image and class; LIMIT
     * where that is no size) are computed before the first step of a call, or read from teacher_cache; neither counts
     * for max_seconds. UNSUPPORTED with `comm` of several ranks. */
    uint32_t teacher_views;
    /* Path, or NULL: where those outputs are kept, for runs with the same teacher, images, validation split, seed and
     * augmentation, on any device and in any precision. Written where there is none, when cancelled with the whole
     * views computed so far, from which the next call goes on; ARG where it is of others, FORMAT and CHECKSUM where it
     * is none or damaged, and ARG without teacher_views. */
    const char *teacher_cache;
    /* NULL: the processor. "cuda" or "cuda:N": a GPU does the work of every image, while parameters, quantisers and the
     * optimiser stay with the processor; the same function in another order of summation. "reference": the same path in
     * plain C, slow, for tests. An operation without code there runs on the processor. UNSUPPORTED where the build or
     * machine has none, and with `comm`. */
    const char *device;
    /* NULL: dense weights are used as they are. Otherwise every step sees what `project` makes of them, and gradients
     * go to the masters as they are (straight through). The graph ends with masters. ARG with a checkpoint, which could
     * not tell one function from another, and with renormalise, whose folding comes after; UNSUPPORTED with a device.
     */
    isg_project_fn *project;
    void *project_user;
    isg_progress progress;
    /* Ranks that train together, each calling isg_train() with the same arguments; NULL: this process alone. `batch` is
     * then that of all ranks together. Rank 0 reports progress, writes and reads files; all end with the same status
     * and weights. Borrowed. */
    isg_comm *comm;
} isg_train_options;

typedef struct isg_train_report {
    uint64_t steps;
    uint32_t epochs;
    double seconds, final_loss, train_accuracy, validation_accuracy; /* validation: of the chosen epoch,
                                                                         fraction; NaN where nothing was held back */
    uint32_t ranks;
    /* Of this call, a step: numbers that this rank handed in to be summed, and the time it spent on that and on waiting
     * for the others. 0 for a process alone. */
    double step_bytes, step_wait_seconds;
    int kept_start;  /* no step was better than the start on the images held back, so that nothing has changed */
    char device[96]; /* what ran the images, "cuda:0 (NVIDIA H200)"; empty: the processor */
} isg_train_report;

void isg_train_options_default(isg_train_options *o);

/* A new, randomly initialised network (float, with BatchNorm unless the architecture has none). arch: "fig5a" (three
 * 5x5 convolutions, SPEC section 10), "resnet18" (CIFAR form, SPEC section 8), "resnet20", "mlp". */
ISG_NODISCARD isg_status isg_arch_build(isg_graph **out, const char *arch, uint32_t channels, uint32_t height,
                                        uint32_t width, uint32_t classes, uint64_t seed, isg_error *err);
const char *const *isg_arch_names(void); /* NULL-terminated */

/* Trains g in place (masters of factors, scales, dense weights, biases, BatchNorm). g must be prepared except that it
 * may still hold BatchNorm; biases and BatchNorm constants that nodes share become one of each node's own. teacher:
 * prepared, same inputs and outputs, or NULL. Labels are not needed when distill_beta is 1. On CANCELLED the last
 * checkpoint is complete and g holds the weights reached. NaN stops with NUMERIC naming step and layer. A checkpoint or
 * log that cannot be written ends the run with IO; g then holds the weights reached (the best epoch's, if one was
 * validated) and report->steps is not 0, which it is after other errors. report may be NULL. */
ISG_NODISCARD isg_status isg_train(isg_graph *g, const isg_graph *teacher, const isg_dataset *data,
                                   const isg_input_spec *input, int32_t label_offset, const isg_train_options *options,
                                   isg_train_report *report, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
