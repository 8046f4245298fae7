/* SPDX-License-Identifier: Apache-2.0 */
/* The training loop: steps, epochs, validation, choice of the best epoch, limits, progress, log, checkpoints. */
#include <insitu/train.h>

#include "base/error.h"
#include "graph/graph_internal.h"
#include "host/alloc.h"
#include "host/place.h"
#include "host/plain_numbers.h"
#include "train/device.h"
#include "train/loss_kd.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define CSV_HEADER "step,epoch,learning_rate,loss,cross_entropy,ortho,accuracy,gradient_norm\n"

void isg_train_options_default(isg_train_options *o)
{
    memset(o, 0, sizeof *o);
    o->struct_size = sizeof *o;
    o->epochs = 1;
    o->batch = 128;
    o->optimizer = ISG_OPT_RADAM;
    o->schedule = ISG_SCHEDULE_COSINE;
    o->learning_rate = 2e-3f;
    o->weight_decay = 5e-4f;
    o->momentum = 0.9f;
    o->distill_temperature = 3.0f;
    o->validation_fraction = 0.1;
    o->seed = 1;
}

static isg_status check_ranges(const isg_train_options *o, isg_error *err)
{
    const struct {
        const char *name;
        int good;
    } ranges[] = {{"learning rate", o->learning_rate > 0},
                  {"weight decay", o->weight_decay >= 0},
                  {"momentum", o->momentum >= 0 && o->momentum < 1},
                  {"label smoothing", o->label_smoothing >= 0 && o->label_smoothing < 1},
                  {"decay of the running mean", o->ema_decay >= 0 && o->ema_decay < 1},
                  {"limit of the gradient", o->grad_clip >= 0},
                  {"weight of the orthonormality loss", o->ortho_weight >= 0},
                  {"number of seconds", o->max_seconds >= 0 && o->checkpoint_seconds >= 0},
                  {"padding of crops", o->crop_pad <= 65535},
                  {"share of validation", o->validation_fraction >= 0 && o->validation_fraction < 1}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!ranges[i].good) return isgi_fail(err, ISG_E_ARG, "training: the %s is out of range", ranges[i].name);
    return ISG_OK;
}

static isg_status check_options(const isg_train_options *o, const isg_graph *teacher, isg_error *err)
{
    if (o->struct_size != sizeof *o) return isgi_fail(err, ISG_E_ARG, "training options of another version");
    if (o->optimizer > ISG_OPT_ADAMW || o->schedule > ISG_SCHEDULE_ONECYCLE || o->execution > ISG_EXECUTION_FACTORED ||
        o->precision > ISG_PRECISION_TF32) {
        return isgi_fail(err, ISG_E_ARG, "unknown optimiser, schedule, execution or precision");
    }
    ISGI_TRY(check_ranges(o, err));
    if (o->distill_beta != 0 && !(o->distill_beta > 0 && o->distill_beta <= 1 && o->distill_temperature > 0)) {
        return isgi_fail(err, ISG_E_ARG, "distillation needs beta 0..1 and a positive temperature");
    }
    if (o->distill_beta > 0 && !teacher) return isgi_fail(err, ISG_E_ARG, "distillation needs a teacher");
    if (o->teacher_views && o->distill_beta <= 0) {
        return isgi_fail(err, ISG_E_ARG, "views of a teacher need distillation");
    }
    if (o->teacher_cache && !o->teacher_views) {
        return isgi_fail(err, ISG_E_ARG, "a file of a teacher's outputs needs a number of views");
    }
    if (o->teacher_views && o->comm && o->comm->size > 1) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "views of a teacher by several ranks are not supported");
    }
    if ((o->checkpoint && isgi_place_is_stream(o->checkpoint)) ||
        (o->teacher_cache && isgi_place_is_stream(o->teacher_cache))) {
        return isgi_fail(err, ISG_E_ARG, "a checkpoint and a teacher's outputs need files that can be replaced");
    }
    if (o->log_csv && isgi_place_is_pipe(o->log_csv))
        return isgi_fail(err, ISG_E_ARG, "a log cannot be a pipe by its name, which is opened anew for each part");
    if (o->match_teacher && !(teacher && o->renormalise)) {
        return isgi_fail(err, ISG_E_ARG, "matching the teacher's statistics needs a teacher and renormalisation");
    }
    if (o->project && (o->checkpoint || o->renormalise))
        return isgi_fail(err, ISG_E_ARG, "projected weights go with neither a checkpoint nor renormalisation");
    if (o->project && o->device && strcmp(o->device, "cpu") != 0)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "projected weights on a device are not supported");
    if (o->batch > 65536)
        return isgi_fail(err, ISG_E_LIMIT, "a batch of %u, at most 65536 are possible", (unsigned)o->batch);
    return ISG_OK;
}

static isg_status open_device(isgi_trainer *t, isg_error *err)
{
    isg_train_options *o = &t->o;
    if (o->device && !strcmp(o->device, "cpu")) o->device = NULL;
    if (!o->device && o->precision == ISG_PRECISION_TF32) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "tf32 needs a device");
    }
    if (!o->device) return ISG_OK;
    if (o->precision == ISG_PRECISION_BF16) {
        return isgi_fail(err, ISG_E_UNSUPPORTED, "a device computes in f32 or tf32, not in bf16");
    }
    if (o->comm) return isgi_fail(err, ISG_E_UNSUPPORTED, "training on a device by several ranks is not supported");
    return isgi_device_open(&t->device, o->device, err);
}

/* One rank is a process alone. The others of many write nothing and are silent. */
static isg_status check_ranks(isg_train_options *o, isg_error *err)
{
    isg_comm *c = o->comm;
    if (c && c->size < 2) o->comm = c = NULL;
    if (!c) return ISG_OK;
    if ((uint64_t)(c->size - 1) * isgi_batch_share(c, o->batch) >= o->batch) {
        return isgi_fail(err, ISG_E_ARG, "a batch of %u cannot be shared by %u ranks", (unsigned)o->batch,
                         (unsigned)c->size);
    }
    if (c->rank > 0) {
        o->checkpoint = o->log_csv = NULL;
        o->progress.report = NULL;
    }
    return ISG_OK;
}

static double elapsed(const isgi_trainer *t)
{
    return t->seconds_before + (double)(isg_host_nanoseconds() - t->started) * 1e-9;
}

/* ---- set-up ---- */

static isg_status make_nets(isgi_trainer *t, const isg_graph *teacher, isg_error *err)
{
    isgi_net_options n = {.trainable = 1, .paper_clamp = t->o.paper_clamp, .comm = t->o.comm};
    n.batch = isgi_batch_share(t->o.comm, t->o.batch);
    n.execution = t->o.execution;
    n.precision = t->o.precision;
    n.parallel = isg_pool_parallel(t->pool);
    n.device = t->device;
    n.project = t->o.project;
    n.project_user = t->o.project_user;
    ISGI_TRY(isgi_net_create(&t->net, t->g, &n, err));
    if (t->net->param_count == 0) return isgi_fail(err, ISG_E_ARG, "the network has nothing to train");
    if (t->o.distill_beta <= 0) return ISG_OK;
    n.trainable = 0;
    n.project = NULL;
    ISGI_TRY(isgi_net_create(&t->teacher, teacher, &n, err));
    if (t->teacher->classes != t->net->classes || t->teacher->acts[0].size != t->net->acts[0].size) {
        return isgi_fail(err, ISG_E_SHAPE, "teacher and student have different inputs or outputs");
    }
    return ISG_OK;
}

static isg_status make_buffers(isgi_trainer *t, isg_error *err)
{
    const size_t logits = (size_t)t->o.batch * t->net->classes;
    t->student_logits = isgi_malloc(logits * sizeof(float));
    t->teacher_logits = isgi_malloc(logits * sizeof(float));
    t->grad_logits = isgi_malloc(logits * sizeof(float));
    t->x = isgi_malloc(t->net->acts[0].size * t->o.batch * sizeof(float));
    t->labels = isgi_malloc(t->o.batch * sizeof *t->labels);
    if (isgi_feed_validation_count(t->feed)) {
        t->best = isgi_calloc(t->net->param_floats + t->net->running_floats + 1, sizeof(float));
        if (!t->best) return isgi_nomem(err);
    }
    if (!t->student_logits || !t->teacher_logits || !t->grad_logits || !t->x || !t->labels) return isgi_nomem(err);
    isgi_buffer_init(&t->csv, (size_t)1 << 30);
    return isgi_buffer_append(&t->csv, CSV_HEADER, strlen(CSV_HEADER), err);
}

static void trainer_clear(isgi_trainer *t)
{
    isgi_feed_destroy(t->feed);
    isgi_optim_destroy(t->optim);
    isgi_net_destroy(t->net);
    isgi_net_destroy(t->teacher);
    isg_free(t->views);
    isgi_device_close(t->device);
    isg_pool_destroy(t->pool);
    isgi_buffer_free(&t->csv);
    isg_free(t->best);
    isg_free(t->student_logits);
    isg_free(t->teacher_logits);
    isg_free(t->grad_logits);
    isg_free(t->x);
    isg_free(t->labels);
    isgi_lock_release(&t->lock);
}

/* ---- one step ---- */

static isg_status not_finite(const isgi_trainer *t, int backward, isg_error *err)
{
    char name[100];
    const char *where = isgi_net_find_nan(t->net, backward);
    const isg_status status = isgi_fail(err, ISG_E_NUMERIC, "step %llu: %s is not a finite number, first seen in %s",
                                        (unsigned long long)t->at.step + 1, backward ? "the gradient" : "the loss",
                                        where ? isgi_escape(name, sizeof name, where) : "the total");
    /* a rank that saw where it began speaks for all */
    ISGI_TRY(isgi_ranks_agree(t, where ? status : ISG_OK, err));
    return status;
}

static void gather_logits(const isgi_net *net, float *dst)
{
    for (uint32_t i = 0; i < net->n; i++) {
        memcpy(dst + (size_t)i * net->classes, isgi_net_logits(net, i), net->classes * sizeof *dst);
    }
}

static isg_status log_step(isgi_trainer *t, float lr, double loss, double ce, double ortho, double accuracy,
                           double norm, isg_error *err)
{
    isgi_plain_numbers plain;
    char line[256];
    int n;
    if (!t->o.log_csv) return ISG_OK;
    isgi_plain_numbers_begin(&plain);
    n = snprintf(line, sizeof line, "%llu,%llu,%.9g,%.9g,%.9g,%.9g,%.6g,%.9g\n", (unsigned long long)t->at.step,
                 (unsigned long long)t->at.epoch, (double)lr, loss, ce, ortho, accuracy, norm);
    isgi_plain_numbers_end(&plain);
    return isgi_buffer_append(&t->csv, line, (size_t)n, err);
}

/* A factor that stopped being finite is found by its quantiser: the message gets the step and the factor's name. */
static isg_status refresh_after_step(isgi_trainer *t, isg_error *err)
{
    isg_error inner = {0};
    char name[100];
    const isg_status status = isgi_net_refresh(t->net, &inner);
    if (status == ISG_OK) return ISG_OK;
    for (int32_t i = 0; status == ISG_E_NUMERIC && i < t->net->param_count; i++) {
        const isgi_param *p = &t->net->param_list[i];
        for (size_t k = 0; k < p->count; k++) {
            if (isfinite(p->w[k])) continue;
            return isgi_fail(err, status, "step %llu: %s holds a number that is not finite",
                             (unsigned long long)t->at.step + 1, isgi_escape(name, sizeof name, p->name));
        }
    }
    return isgi_fail(err, status, "step %llu: %s", (unsigned long long)t->at.step + 1, inner.message);
}

isg_status isgi_teacher_finite(const isgi_trainer *t, isg_error *err)
{
    for (uint32_t i = 0; i < t->teacher->n; i++)
        if (!isgi_all_finite(isgi_net_logits(t->teacher, i), t->teacher->classes))
            return isgi_fail(err, ISG_E_NUMERIC, "the teacher's output is not a finite number");
    return ISG_OK;
}

/* What the last step left is seen by no step after it. */
static isg_status check_params(const isgi_trainer *t, isg_error *err)
{
    char name[100];
    for (int32_t i = 0; i < t->net->param_count; i++) {
        const isgi_param *p = &t->net->param_list[i];
        if (isgi_all_finite(p->w, p->count)) continue;
        return isgi_fail(err, ISG_E_NUMERIC, "step %llu: %s holds a number that is not finite",
                         (unsigned long long)t->at.step, isgi_escape(name, sizeof name, p->name));
    }
    return ISG_OK;
}

static isg_status check_outputs(const isgi_trainer *t, uint32_t n, isg_error *err)
{
    char name[100];
    const char *where;
    if (isgi_all_finite(t->student_logits, (size_t)n * t->net->classes)) return ISG_OK;
    where = isgi_net_find_nan(t->net, 0);
    return isgi_fail(err, ISG_E_NUMERIC, "after step %llu: the output is not a finite number, first seen in %s",
                     (unsigned long long)t->at.step, where ? isgi_escape(name, sizeof name, where) : "the output");
}

static isg_status forward_both(isgi_trainer *t, const isgi_batch *b, isg_error *err)
{
    isgi_net_load(t->net, b->x, b->count);
    t->net->total = b->total;
    ISGI_TRY(isgi_net_forward(t->net, 1, err));
    gather_logits(t->net, t->student_logits);
    if (t->views) isgi_views_take(t, b, t->teacher_logits);
    if (!t->teacher) return ISG_OK;
    isgi_net_load(t->teacher, b->x, b->count);
    ISGI_TRY(isgi_net_forward(t->teacher, 0, err));
    gather_logits(t->teacher, t->teacher_logits);
    return isgi_teacher_finite(t, err);
}

static isg_status take_step(isgi_trainer *t, const isgi_batch *b, float lr, isg_error *err)
{
    const isgi_kd kd = {t->o.distill_beta, t->o.distill_temperature, t->o.label_smoothing, b->total};
    isgi_net *net = t->net;
    double figures[3], loss, ce, ortho = 0, norm; /* figures: loss, cross entropy, correct */
    size_t correct = 0;
    ISGI_TRY(isgi_ranks_agree(t, forward_both(t, b, err), err));
    figures[0] = isgi_loss_kd(&kd, t->student_logits, t->o.distill_beta > 0 ? t->teacher_logits : NULL, b->labels,
                              b->count, net->classes, t->grad_logits, &figures[1], &correct);
    figures[2] = (double)correct;
    ISGI_TRY(isgi_ranks_sum(t, figures, 3, err));
    loss = figures[0];
    ce = figures[1];
    correct = (size_t)figures[2];
    if (!isfinite(loss)) return not_finite(t, 0, err);
    for (uint32_t i = 0; i < b->count; i++) {
        memcpy(isgi_net_logits_grad(net, i), t->grad_logits + (size_t)i * net->classes, net->classes * sizeof(float));
    }
    ISGI_TRY(isgi_ranks_agree(t, isgi_net_backward(net, err), err));
    if (t->o.ortho_weight > 0) ortho = isgi_net_ortho(net, (double)t->o.ortho_weight);
    norm = isgi_optim_norm(t->optim, net);
    if (!isfinite(norm + ortho)) return not_finite(t, 1, err);
    isgi_optim_step(t->optim, net, lr,
                    t->o.grad_clip > 0 && norm > (double)t->o.grad_clip ? t->o.grad_clip / (float)norm : 1.0f);
    ISGI_TRY(refresh_after_step(t, err));
    t->at.step++;
    t->at.epoch_loss += (loss + ortho) * b->total;
    t->at.epoch_images += b->total;
    t->at.epoch_correct += correct;
    return isgi_ranks_agree(t, log_step(t, lr, loss + ortho, ce, ortho, (double)correct / b->total, norm, err), err);
}

/* ---- validation ---- */

/* The moving average stands in for the weights while `on`. */
static isg_status swap_ema(isgi_trainer *t, isg_error *err)
{
    if (!t->optim->ema) return ISG_OK;
    for (size_t i = 0; i < t->net->param_floats; i++) {
        const float w = t->net->params[i];
        t->net->params[i] = t->optim->ema[i];
        t->optim->ema[i] = w;
    }
    return isgi_net_refresh(t->net, err);
}

static isg_status count_own(isgi_trainer *t, uint64_t *correct, uint64_t *labelled, isg_error *err)
{
    const isgi_kd kd = {.temperature = 1};
    const isg_progress *p = &t->o.progress;
    const uint32_t total = isgi_feed_validation_count(t->feed);
    for (uint32_t first = 0; first < total; first += t->o.batch) {
        uint32_t begin;
        const uint32_t all = total - first < t->o.batch ? total - first : t->o.batch;
        const uint32_t n = isgi_batch_part(t->o.comm, t->o.batch, all, &begin);
        size_t right = 0;
        if (n == 0) continue;
        /* before the first step nothing is lost; later the epoch ends first, as its checkpoint is to hold it */
        if (t->at.step == 0 && p->cancelled && p->cancelled(p->user))
            return isgi_fail(err, ISG_E_CANCELLED, "stopped before a step was taken, while the start was validated");
        ISGI_TRY(isgi_feed_validation(t->feed, first + begin, n, t->x, t->labels, err));
        isgi_net_load(t->net, t->x, n);
        ISGI_TRY(isgi_net_forward(t->net, 0, err));
        gather_logits(t->net, t->student_logits);
        ISGI_TRY(check_outputs(t, n, err));
        isgi_loss_kd(&kd, t->student_logits, NULL, t->labels, n, t->net->classes, NULL, NULL, &right);
        *correct += right;
        for (uint32_t i = 0; i < n; i++) *labelled += t->labels[i] >= 0;
    }
    return ISG_OK;
}

static isg_status count_correct(isgi_trainer *t, uint64_t *correct, uint64_t *labelled, isg_error *err)
{
    double sums[2];
    ISGI_TRY(isgi_ranks_agree(t, count_own(t, correct, labelled, err), err));
    sums[0] = (double)*correct;
    sums[1] = (double)*labelled;
    ISGI_TRY(isgi_ranks_sum(t, sums, 2, err));
    *correct = (uint64_t)sums[0];
    *labelled = (uint64_t)sums[1];
    return ISG_OK;
}

static isg_status validate(isgi_trainer *t, isg_error *err)
{
    const size_t p = t->net->param_floats, r = t->net->running_floats;
    uint64_t correct = 0, labelled = 0;
    double accuracy;
    isg_status status;
    if (!t->best) return ISG_OK;
    ISGI_TRY(swap_ema(t, err));
    status = count_correct(t, &correct, &labelled, err);
    accuracy = labelled ? (double)correct / (double)labelled : 0;
    /* without labels every epoch is as good: the last one is kept */
    if (status == ISG_OK && (accuracy > t->at.best_accuracy || labelled == 0)) {
        t->at.best_accuracy = accuracy;
        t->at.best_step = t->at.step;
        memcpy(t->best, t->net->params, p * sizeof(float));
        if (r) memcpy(t->best + p, t->net->running, r * sizeof(float));
    }
    if (status == ISG_OK) status = swap_ema(t, err);
    return status;
}

/* ---- the loop ---- */

static uint64_t total_steps(const isgi_trainer *t)
{
    const uint64_t per = isgi_feed_batches(t->feed);
    uint64_t total = t->o.epochs ? t->o.epochs * per : UINT64_MAX;
    if (t->o.max_steps && t->o.max_steps < total) total = t->o.max_steps;
    return total;
}

/* Share of the run that is done, for the schedule: by steps, or by time where only time limits it. */
static double run_progress(const isgi_trainer *t, uint64_t total)
{
    if (total != UINT64_MAX) return (double)t->at.step / (double)total;
    return t->o.max_seconds > 0 ? elapsed(t) / t->o.max_seconds : 0;
}

static int out_of_time(const isgi_trainer *t)
{
    const double before = isgi_bounded(&t->o) ? t->seconds_before : 0;
    return t->o.max_seconds > 0 && elapsed(t) - before >= t->o.max_seconds;
}

static void report_progress(isgi_trainer *t, uint64_t total, int force)
{
    const uint64_t now = isg_host_nanoseconds();
    const double n = t->at.epoch_images ? (double)t->at.epoch_images : 1, spent = elapsed(t);
    char text[192], end[48] = "";
    if (!t->o.progress.report || (!force && now - t->last_report < 200000000u)) return;
    t->last_report = now;
    /* who shows the steps derives the end of the run from them; the clock's end only we know */
    if (t->o.max_seconds > 0) {
        const double before = isgi_bounded(&t->o) ? t->seconds_before : 0;
        snprintf(end, sizeof end, " %s %.0f s", isgi_bounded(&t->o) ? "stops in" : "ETA",
                 fmax(t->o.max_seconds - (spent - before), 0.0));
    }
    snprintf(text, sizeof text, "epoch %llu loss %.4f acc %.4f best val %.4f%s", (unsigned long long)t->at.epoch + 1,
             t->at.epoch_loss / n, (double)t->at.epoch_correct / n, t->at.best_accuracy < 0 ? 0.0 : t->at.best_accuracy,
             end);
    t->o.progress.report(t->o.progress.user, "train", t->at.step, total == UINT64_MAX ? 0 : total, text);
}

static isg_status end_epoch(isgi_trainer *t, isg_error *err)
{
    const double n = t->at.epoch_images ? (double)t->at.epoch_images : 1;
    ISGI_TRY(validate(t, err));
    t->at.last_loss = t->at.epoch_loss / n;
    t->at.last_accuracy = (double)t->at.epoch_correct / n;
    t->at.epoch_loss = 0;
    t->at.epoch_images = t->at.epoch_correct = 0;
    t->at.epoch++;
    t->at.index = 0;
    /* machines of different make may differ in the last bits: they must not drift apart */
    return isgi_checkpoint_share(t, err);
}

static isg_status checkpoint_if_due(isgi_trainer *t, int force, isg_error *err)
{
    const uint64_t now = isg_host_nanoseconds();
    isg_status status = ISG_OK;
    if (force || (double)(now - t->last_checkpoint) * 1e-9 >= t->o.checkpoint_seconds) {
        t->last_checkpoint = now;
        t->at.seconds = elapsed(t);
        status = check_params(t, err);
        if (status == ISG_OK) status = isgi_checkpoint_save(t, err);
    }
    status = isgi_ranks_agree(t, status, err); /* a full disk of rank 0 ends all */
    t->unsaved = status == ISG_E_IO && !(t->o.comm && t->o.comm->broken);
    return status;
}

/* The clock of the run stands still meanwhile: schedule and sitting begin with the first step. */
static isg_status prepare_views(isgi_trainer *t, isg_error *err)
{
    const uint64_t before = isg_host_nanoseconds();
    uint64_t spent;
    ISGI_TRY(isgi_views_prepare(t, err));
    spent = isg_host_nanoseconds() - before;
    t->started += spent;
    t->last_checkpoint += spent;
    return ISG_OK;
}

static isg_status run_loop(isgi_trainer *t, isg_error *err)
{
    const uint64_t total = total_steps(t);
    const double epochs = total != UINT64_MAX ? (double)total / isgi_feed_batches(t->feed) : 1;
    if (t->o.teacher_views && t->at.step < total && !out_of_time(t)) ISGI_TRY(prepare_views(t, err));
    ISGI_TRY(isgi_feed_seek(t->feed, (uint32_t)t->at.epoch, (uint32_t)t->at.index, err));
    /* a student may start better than a short run leaves it: where it starts is a candidate too */
    if (t->o.distill_beta > 0 && t->at.step == 0) ISGI_TRY(validate(t, err));
    while (t->at.step < total) {
        const isgi_batch *b;
        isgi_turn turn;
        turn.rate = (double)isgi_schedule(&t->o, run_progress(t, total), epochs, t->at.step);
        turn.out_of_time = out_of_time(t);
        turn.cancelled = t->o.progress.cancelled && t->o.progress.cancelled(t->o.progress.user);
        ISGI_TRY(isgi_ranks_turn(t, &turn, err));
        if (turn.out_of_time) break;
        if (turn.cancelled) {
            ISGI_TRY(checkpoint_if_due(t, 1, err));
            return isgi_fail(err, ISG_E_CANCELLED, "training stopped after step %llu", (unsigned long long)t->at.step);
        }
        ISGI_TRY(isgi_ranks_agree(t, isgi_feed_next(t->feed, &b, err), err));
        ISGI_TRY(take_step(t, b, (float)turn.rate, err));
        t->at.index++;
        report_progress(t, total, 0);
        if (t->at.index == isgi_feed_batches(t->feed)) {
            report_progress(t, total, 1);
            ISGI_TRY(end_epoch(t, err));
        }
        ISGI_TRY(checkpoint_if_due(t, 0, err));
    }
    /* the sitting ends, not the run: what follows is for this call's result and must not be resumed from */
    if (t->at.step < total && isgi_bounded(&t->o)) {
        ISGI_TRY(checkpoint_if_due(t, 1, err));
        return t->at.index > 0 ? validate(t, err) : ISG_OK;
    }
    if (t->at.index > 0) ISGI_TRY(validate(t, err)); /* a part of an epoch counts as one for the choice */
    return checkpoint_if_due(t, 1, err);
}

/* The weights that stay, on the images of the last step: nothing else tells where there is no validation. */
static isg_status try_last_batch(isgi_trainer *t, isg_error *err)
{
    const uint32_t n = t->net->n;
    ISGI_TRY(isgi_net_refresh(t->net, err));
    if (n == 0) return ISG_OK;
    ISGI_TRY(isgi_net_forward(t->net, 0, err));
    gather_logits(t->net, t->student_logits);
    return check_outputs(t, n, err);
}

/* The best epoch by validation, or the moving average, or the weights as they are. */
static isg_status store_result(isgi_trainer *t, int finished, isg_error *err)
{
    isgi_net *net = t->net;
    if (finished && t->best && t->at.best_accuracy >= 0) {
        memcpy(net->params, t->best, net->param_floats * sizeof(float));
        if (net->running_floats) {
            memcpy(net->running, t->best + net->param_floats, net->running_floats * sizeof(float));
        }
    } else if (t->optim->ema) {
        memcpy(net->params, t->optim->ema, net->param_floats * sizeof(float));
    }
    if (!t->best && t->at.step > t->steps_before) ISGI_TRY(isgi_ranks_agree(t, try_last_batch(t, err), err));
    isgi_net_store(net);
    return ISG_OK;
}

static void fill_report(const isgi_trainer *t, isg_train_report *r)
{
    const double n = t->at.epoch_images ? (double)t->at.epoch_images : 1;
    const int part = t->at.epoch_images > 0;
    if (!r) return;
    memset(r, 0, sizeof *r);
    r->steps = t->at.step;
    r->epochs = (uint32_t)t->at.epoch;
    r->seconds = elapsed(t);
    r->final_loss = part ? t->at.epoch_loss / n : t->at.last_loss;
    r->train_accuracy = part ? (double)t->at.epoch_correct / n : t->at.last_accuracy;
    r->validation_accuracy = t->at.best_accuracy < 0 ? (double)NAN : t->at.best_accuracy;
    r->kept_start = t->best && t->at.best_accuracy >= 0 && t->at.step > 0 && t->at.best_step == 0;
    r->ranks = t->o.comm ? t->o.comm->size : 1;
    if (t->device) snprintf(r->device, sizeof r->device, "%s", t->device->name);
    if (t->o.comm && t->at.step > t->steps_before) {
        r->step_bytes = (double)t->o.comm->bytes / (double)(t->at.step - t->steps_before);
        r->step_wait_seconds = t->o.comm->seconds / (double)(t->at.step - t->steps_before);
    }
}

static isg_status prepare_run(isgi_trainer *t, const isg_graph *teacher, const isg_dataset *data,
                              const isg_input_spec *input, int32_t label_offset, isg_error *err)
{
    uint32_t shape[3];
    ISGI_TRY(make_nets(t, teacher, err));
    ISGI_TRY(isgi_net_input_shape(t->net, input, shape, err));
    ISGI_TRY(isgi_feed_create(&t->feed, data, input, shape, label_offset, t->net->classes, &t->o, err));
    ISGI_TRY(isgi_optim_create(&t->optim, t->net, &t->o, err));
    ISGI_TRY(make_buffers(t, err));
    ISGI_TRY(isgi_checkpoint_config(t, input, label_offset, err));
    if (t->o.resume && t->o.checkpoint && isgi_checkpoint_exists(t->o.checkpoint)) {
        ISGI_TRY(isgi_checkpoint_load(t, err));
        ISGI_TRY(isgi_net_refresh(t->net, err));
    }
    t->started = t->last_checkpoint = t->last_report = isg_host_nanoseconds();
    return ISG_OK;
}

/* Trains t->g, which holds the weights reached whenever a run got as far as a step. */
static isg_status run_training(isgi_trainer *t, const isg_graph *teacher, const isg_dataset *data,
                               const isg_input_spec *input, int32_t label_offset, isg_train_report *report,
                               isg_error *err)
{
    isg_status status = isgi_ranks_agree(t, prepare_run(t, teacher, data, input, label_offset, err), err);
    if (status == ISG_OK) status = isgi_ranks_start(t, err);
    if (status != ISG_OK) return status;
    status = run_loop(t, err);
    if (status == ISG_E_NUMERIC && t->o.log_csv) { /* how it went there is what the log is read for then */
        isg_error unwanted;
        (void)!isgi_log_save(t, &unwanted);
    }
    if (status != ISG_OK && status != ISG_E_CANCELLED && !t->unsaved) return status;
    if (t->unsaved) {
        isg_error unwanted;
        if (store_result(t, 1, &unwanted) == ISG_OK) fill_report(t, report);
        return status;
    }
    {
        const isg_status stored = store_result(t, status == ISG_OK, err);
        if (stored != ISG_OK) return stored;
    }
    fill_report(t, report);
    return status;
}

isg_status isg_train(isg_graph *g, const isg_graph *teacher, const isg_dataset *data, const isg_input_spec *input,
                     int32_t label_offset, const isg_train_options *options, isg_train_report *report, isg_error *err)
{
    isgi_trainer t;
    isg_graph *work = NULL;
    isg_error unwanted = {0};
    isg_status status;
    if (report) memset(report, 0, sizeof *report);
    ISGI_TRY(check_options(options, teacher, err));
    memset(&t, 0, sizeof t);
    t.o = *options;
    t.g = g;
    t.source = g;
    t.teacher_graph = teacher;
    t.at.best_accuracy = -1;
    if (t.o.batch == 0) t.o.batch = 128;
    if (t.o.epochs == 0 && t.o.max_steps == 0 && t.o.max_seconds <= 0) t.o.epochs = 1;
    if (t.o.checkpoint_seconds <= 0) t.o.checkpoint_seconds = 120;
    if (t.o.teacher_views && !t.o.crop_pad && !t.o.flip && !t.o.cutout) t.o.teacher_views = 1; /* all are alike */
    err = err ? err : &unwanted;
    ISGI_TRY(check_ranks(&t.o, err));
    ISGI_TRY(open_device(&t, err));
    status = t.o.checkpoint ? isgi_lock_take(&t.lock, t.o.checkpoint, err) : ISG_OK;
    if (status == ISG_OK) status = isg_pool_create(&t.pool, t.o.threads, err);
    if (status == ISG_OK) status = isgi_graph_untie(g, err);
    if (status == ISG_OK && t.o.renormalise) {
        status = isg_graph_clone(&work, g, err);
        if (status == ISG_OK)
            status = isgi_renorm_insert(work, teacher, data, input, &t.o, isg_pool_parallel(t.pool), err);
        t.g = work;
    }
    status = isgi_ranks_agree(&t, status, err);
    if (status == ISG_OK) status = run_training(&t, teacher, data, input, label_offset, report, err);
    trainer_clear(&t);
    if (work && (status == ISG_OK || status == ISG_E_CANCELLED || t.unsaved)) {
        const isg_status folded = isgi_renorm_fold(work, t.unsaved ? &unwanted : err);
        if (folded == ISG_OK) {
            const isg_graph old = *g;
            *g = *work;
            *work = old;
        } else {
            if (!t.unsaved) status = folded;
            if (report) report->steps = 0;
        }
    }
    isg_graph_destroy(work);
    return status;
}
