/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints of training: one file, written atomically, refused unless it is whole and of the same run. */
#include "train/identity.h"
#include "train/sealed.h"
#include "train/trainer.h"

#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"
#include "host/place.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIELDS 16
#define FLOATS_FIELD 12
#define HEADER_BYTES (ISGI_SEALED_FIELDS + FIELDS * 8)

static isgi_sealed seal_of(const isgi_trainer *t)
{
    return (isgi_sealed){.path = t->o.checkpoint,
                         .magic = "ISGCKPT\1",
                         .hash = t->config,
                         .header_bytes = HEADER_BYTES,
                         .strange = "not a checkpoint of this version and byte order",
                         .damaged = "the checkpoint is damaged",
                         .foreign = "made by a run with other options, network or data",
                         .odd_size = "sizes do not fit the network"};
}

/* The arrays in the order of the file. */
static int list_parts(const isgi_trainer *t, isgi_floats parts[6])
{
    const size_t p = t->net->param_floats, r = t->net->running_floats;
    const isgi_floats all[6] = {{t->net->params, p}, {t->net->running, r}, {t->optim->m, p},
                                {t->optim->v, p},    {t->optim->ema, p},   {t->best, p + r}};
    int n = 0;
    for (int i = 0; i < 6; i++) {
        if (all[i].data && all[i].count) parts[n++] = all[i];
    }
    return n;
}

static uint64_t double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double bits_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void fill_header(const isgi_trainer *t, uint8_t h[HEADER_BYTES], size_t floats)
{
    const isgi_position *a = &t->at;
    const isgi_sealed seal = seal_of(t);
    const uint64_t fields[FIELDS] = {a->step,
                                     a->epoch,
                                     a->index,
                                     t->optim->step,
                                     double_bits(a->seconds),
                                     double_bits(a->epoch_loss),
                                     a->epoch_images,
                                     a->epoch_correct,
                                     double_bits(a->last_loss),
                                     double_bits(a->last_accuracy),
                                     double_bits(a->best_accuracy),
                                     a->best_step,
                                     floats,
                                     0,
                                     0,
                                     0};
    isgi_sealed_begin(&seal, h);
    for (int i = 0; i < FIELDS; i++) isgi_store_u64(h + ISGI_SEALED_FIELDS + i * 8, fields[i]);
}

isg_status isgi_log_save(isgi_trainer *t, isg_error *err)
{
    const char *path = t->o.log_csv;
    const size_t sent = t->csv_sent;
    if (!path) return ISG_OK;
    if (!isgi_place_is_stream(path)) return isg_write_file(path, t->csv.data, t->csv.size, err);
    t->csv_sent = t->csv.size;
    return isg_write_file(path, t->csv.data + sent, t->csv.size - sent, err);
}

isg_status isgi_checkpoint_save(isgi_trainer *t, isg_error *err)
{
    const isgi_sealed seal = seal_of(t);
    uint8_t header[HEADER_BYTES];
    isgi_floats parts[6];
    const int n = list_parts(t, parts);
    size_t floats = 0;
    isg_status logged = isgi_log_save(t, err); /* before it: a log that is ahead is cut when it is read again */
    if (!t->o.checkpoint) return logged;
    for (int i = 0; i < n; i++) floats += parts[i].count;
    fill_header(t, header, floats);
    ISGI_TRY(isgi_sealed_write(&seal, header, parts, n, err));
    return logged;
}

int isgi_checkpoint_exists(const char *path)
{
    return isg_same_file(path, path);
}

/* Keeps the lines of the log up to the step of the checkpoint: what came after it happens again. */
static isg_status reload_csv(isgi_trainer *t, isg_error *err)
{
    isg_file file;
    const char *p, *end;
    isg_status status = ISG_OK;
    if (!t->o.log_csv) return ISG_OK;
    if (isgi_place_is_stream(t->o.log_csv)) {
        t->csv_sent = t->csv.size; /* it has the heading */
        return ISG_OK;
    }
    if (!isgi_checkpoint_exists(t->o.log_csv)) return ISG_OK;
    ISGI_TRY(isg_file_open(&file, t->o.log_csv, err));
    p = file.data;
    end = p + file.size;
    t->csv.size = 0;
    for (int line = 0; status == ISG_OK && p < end; line++) {
        const char *next = memchr(p, '\n', (size_t)(end - p));
        uint64_t step = 0;
        if (!next) break;
        for (const char *c = p; c < next && *c >= '0' && *c <= '9'; c++) step = step * 10 + (uint64_t)(*c - '0');
        if (line > 0 && step > t->at.step) break;
        status = isgi_buffer_append(&t->csv, p, (size_t)(next + 1 - p), err);
        p = next + 1;
    }
    isg_file_close(&file);
    return status;
}

/* A position that no run of ours can have reached, behind a right checksum. */
static int position_is_sound(const isgi_position *a)
{
    return a->epoch <= UINT32_MAX && a->index <= a->step && a->epoch <= a->step && a->best_step <= a->step &&
           a->epoch_correct <= a->epoch_images && isfinite(a->seconds) && a->seconds >= 0 && isfinite(a->epoch_loss) &&
           isfinite(a->last_loss) && a->last_accuracy >= 0 && a->last_accuracy <= 1 &&
           (a->best_accuracy == -1 || (a->best_accuracy >= 0 && a->best_accuracy <= 1));
}

isg_status isgi_checkpoint_read(isgi_trainer *t, const void *bytes, size_t size, isg_error *err)
{
    const isgi_sealed seal = seal_of(t);
    const uint8_t *h = bytes, *f = h + ISGI_SEALED_FIELDS;
    isgi_floats parts[6];
    isgi_position a;
    const int n = list_parts(t, parts);
    size_t floats = 0, at = HEADER_BYTES;
    for (int i = 0; i < n; i++) floats += parts[i].count;
    ISGI_TRY(isgi_sealed_check(&seal, bytes, size, floats, err));
    a.step = isgi_load_u64(f);
    a.epoch = isgi_load_u64(f + 8);
    a.index = isgi_load_u64(f + 16);
    a.seconds = bits_double(isgi_load_u64(f + 32));
    a.epoch_loss = bits_double(isgi_load_u64(f + 40));
    a.epoch_images = isgi_load_u64(f + 48);
    a.epoch_correct = isgi_load_u64(f + 56);
    a.last_loss = bits_double(isgi_load_u64(f + 64));
    a.last_accuracy = bits_double(isgi_load_u64(f + 72));
    a.best_accuracy = bits_double(isgi_load_u64(f + 80));
    a.best_step = isgi_load_u64(f + 88);
    if (isgi_load_u64(f + FLOATS_FIELD * 8) != floats || !position_is_sound(&a) ||
        (t->feed && a.index >= isgi_feed_batches(t->feed))) {
        char name[128];
        return isgi_fail(err, ISG_E_FORMAT, "%s: the position makes no sense",
                         isgi_escape(name, sizeof name, t->o.checkpoint));
    }
    t->at = a;
    t->optim->step = isgi_load_u64(f + 24);
    for (int i = 0; i < n; i++) {
        memcpy(parts[i].data, h + at, parts[i].count * sizeof(float));
        at += parts[i].count * sizeof(float);
    }
    return ISG_OK;
}

isg_status isgi_checkpoint_load(isgi_trainer *t, isg_error *err)
{
    isg_file file;
    isg_status status;
    ISGI_TRY(isg_file_open(&file, t->o.checkpoint, err));
    status = isgi_checkpoint_read(t, file.data, file.size, err);
    isg_file_close(&file);
    if (status != ISG_OK) return status;
    t->seconds_before = t->at.seconds;
    t->steps_before = t->at.step;
    return reload_csv(t, err);
}

isg_status isgi_checkpoint_share(isgi_trainer *t, isg_error *err)
{
    isg_comm *c = t->o.comm;
    isgi_floats parts[6];
    const int n = list_parts(t, parts);
    if (!c) return ISG_OK;
    ISGI_TRY(c->broadcast(c, &t->at, sizeof t->at, 0, err));
    ISGI_TRY(c->broadcast(c, &t->optim->step, sizeof t->optim->step, 0, err));
    ISGI_TRY(c->broadcast(c, &t->seconds_before, sizeof t->seconds_before, 0, err));
    for (int i = 0; i < n; i++) ISGI_TRY(c->broadcast(c, parts[i].data, parts[i].count * sizeof(float), 0, err));
    return ISG_OK;
}

/* A short line; options only, so that it fits. */
static __attribute__((format(printf, 3, 4))) isg_status append_line(isgi_buffer *b, isg_error *err, const char *format,
                                                                    ...)
{
    char text[1024];
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof text) return isgi_fail(err, ISG_E_INTERNAL, "training: options too long");
    return isgi_buffer_append(b, text, (size_t)n, err);
}

static isg_status append_options(isgi_buffer *b, const isgi_trainer *t, int32_t label_offset, isg_error *err)
{
    const isg_train_options *o = &t->o;
    ISGI_TRY(append_line(
        b, err, "%u %u %llu %a %u %u %a %a %a %a %a %a %a %d %u %a %a %u %d %u %a %d %llu | %u %u %d %d\n", o->epochs,
        o->batch, (unsigned long long)o->max_steps, isgi_bounded(o) ? 0.0 : o->max_seconds, o->optimizer, o->schedule,
        (double)o->learning_rate, (double)o->weight_decay, (double)o->momentum, (double)o->label_smoothing,
        (double)o->distill_beta, (double)o->distill_temperature, (double)o->ortho_weight, o->paper_clamp,
        o->warmup_steps, (double)o->ema_decay, (double)o->grad_clip, o->crop_pad, o->flip, o->cutout,
        o->validation_fraction, o->renormalise, (unsigned long long)o->seed, isgi_feed_train_count(t->feed),
        isgi_feed_validation_count(t->feed), label_offset, t->teacher != NULL));
    return append_line(b, err, "execution %u precision %u match_teacher %d views %u device %.*s\n", o->execution,
                       o->precision, o->match_teacher, o->teacher_views, o->device ? (int)strcspn(o->device, ":") : 0,
                       o->device ? o->device : "");
}

/* The network as the run compiled it, what it began as, and its teacher. The same names and sizes with other bits (tune
 * --bits) are another network: steps that fit one do not fit the other. */
static isg_status append_networks(isgi_buffer *b, const isgi_trainer *t, isg_error *err)
{
    for (int32_t i = 0; i < t->net->param_count; i++) {
        const isgi_param *p = &t->net->param_list[i];
        ISGI_TRY(isgi_buffer_append(b, p->name, strlen(p->name) + 1, err));
        ISGI_TRY(isgi_buffer_append(b, &p->count, sizeof p->count, err));
    }
    ISGI_TRY(isgi_identity_graph(b, t->source, err));
    return t->teacher_graph ? isgi_identity_graph(b, t->teacher_graph, err) : ISG_OK;
}

isg_status isgi_checkpoint_config(isgi_trainer *t, const isg_input_spec *input, int32_t label_offset, isg_error *err)
{
    char text[1024];
    uint32_t images;
    isgi_buffer b;
    isg_status status = isgi_feed_fingerprint(t->feed, &images, err);
    isgi_buffer_init(&b, (size_t)1 << 30);
    if (status == ISG_OK) status = append_options(&b, t, label_offset, err);
    if (status == ISG_OK && input) {
        const int n = isg_input_spec_format(text, sizeof text, input);
        if (n > 0 && (size_t)n < sizeof text) status = isgi_buffer_append(&b, text, (size_t)n, err);
    }
    if (status == ISG_OK) status = isgi_buffer_append(&b, &images, sizeof images, err);
    if (status == ISG_OK) status = append_networks(&b, t, err);
    if (status == ISG_OK) isg_sha256(t->config, b.data, b.size);
    isgi_buffer_free(&b);
    return status;
}
