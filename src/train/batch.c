/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: the validation split, shuffling, augmentation, and a thread that prepares the next one. */
#include "train/batch.h"

#include "base/crc32c.h"
#include "base/error.h"
#include "host/alloc.h"
#include "host/rng.h"

#include <pthread.h>
#include <string.h>

#define SLOTS 3
/* Streams of random numbers; augmentation takes one an image from STREAM_IMAGE on, or one a view from STREAM_VIEW on.
 */
#define STREAM_SPLIT 1u
#define STREAM_EPOCH 0x100000000u
#define STREAM_IMAGE 0x1000000000000u
#define STREAM_VIEW 0x2000000000000u

struct isgi_feed {
    const isg_dataset *data;
    const isg_train_options *o;
    isg_input_spec spec;
    uint32_t shape[3], batch, train_count, validation_count, batches;
    int32_t label_offset;
    size_t size; /* floats a sample */
    float black[4];
    uint32_t *split;       /* all indices: training first, then validation */
    uint32_t *order;       /* of the epoch being prepared; owned by whoever prepares */
    float *image;          /* scratch of the preparing thread */
    uint32_t epoch, index; /* of the next batch to prepare */
    uint32_t ordered_epoch;
    int has_order;
    isgi_batch slot[SLOTS];
    uint32_t head, filled; /* oldest prepared slot; how many (the one handed out included) */
    int handed, running, stop;
    isg_status status;
    isg_error error;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

uint32_t isgi_feed_batches(const isgi_feed *f)
{
    return f->batches;
}

uint32_t isgi_feed_train_count(const isgi_feed *f)
{
    return f->train_count;
}

uint32_t isgi_feed_validation_count(const isgi_feed *f)
{
    return f->validation_count;
}

uint32_t isgi_feed_item_count(const isgi_feed *f)
{
    return f->train_count + f->validation_count;
}

/* ---- one sample ---- */

/* dst = src shifted by (dy, dx), mirrored, with black where nothing is and inside the square cut out. */
static void augment(const isgi_feed *f, float *dst, const float *src, isgi_rng *rng)
{
    const int64_t ch = f->shape[0], h = f->shape[1], w = f->shape[2], pad = f->o->crop_pad, cut = f->o->cutout;
    const int64_t dy = pad ? (int64_t)isgi_rng_below(rng, (uint32_t)(2 * pad + 1)) - pad : 0;
    const int64_t dx = pad ? (int64_t)isgi_rng_below(rng, (uint32_t)(2 * pad + 1)) - pad : 0;
    const int flip = f->o->flip && (isgi_rng_u64(rng) >> 63);
    const int64_t cy = cut ? (int64_t)isgi_rng_below(rng, (uint32_t)h) - cut / 2 : 0;
    const int64_t cx = cut ? (int64_t)isgi_rng_below(rng, (uint32_t)w) - cut / 2 : 0;
    const int64_t sc = f->spec.nhwc ? 1 : h * w, sy = f->spec.nhwc ? w * ch : w, sx = f->spec.nhwc ? ch : 1;
    for (int64_t c = 0; c < ch; c++) {
        const float black = f->black[c < 4 ? c : 3];
        for (int64_t y = 0; y < h; y++) {
            for (int64_t x = 0; x < w; x++) {
                const int64_t fy = y + dy, fx = (flip ? w - 1 - x : x) + dx;
                const int outside = fy < 0 || fy >= h || fx < 0 || fx >= w;
                const int hole = cut && y >= cy && y < cy + cut && x >= cx && x < cx + cut;
                dst[c * sc + y * sy + x * sx] = outside || hole ? black : src[c * sc + fy * sy + fx * sx];
            }
        }
    }
}

static int32_t output_of(const isgi_feed *f, uint32_t item)
{
    if (!isg_dataset_has_labels(f->data)) return -1;
    return isg_dataset_label(f->data, item) + f->label_offset;
}

static void order_epoch(isgi_feed *f)
{
    isgi_rng rng;
    if (f->has_order && f->ordered_epoch == f->epoch) return;
    memcpy(f->order, f->split, (size_t)f->train_count * sizeof *f->order);
    isgi_rng_seed(&rng, f->o->seed, STREAM_EPOCH + f->epoch);
    isgi_rng_shuffle(&rng, f->order, f->train_count);
    f->ordered_epoch = f->epoch;
    f->has_order = 1;
}

static isg_status prepare(isgi_feed *f, isgi_batch *b, isg_error *err)
{
    const uint32_t left = f->train_count - f->index * f->batch;
    uint32_t first;
    const int augmented = f->o->crop_pad || f->o->flip || f->o->cutout;
    order_epoch(f);
    b->view = f->o->teacher_views ? f->epoch % f->o->teacher_views : 0;
    b->total = left < f->batch ? left : f->batch;
    b->count = isgi_batch_part(f->o->comm, f->batch, b->total, &first);
    first += f->index * f->batch;
    for (uint32_t i = 0; i < b->count; i++) {
        const uint32_t item = f->order[first + i];
        float *x = b->x + (size_t)i * f->size;
        ISGI_TRY(isg_dataset_load(f->data, item, &f->spec, augmented ? f->image : x, err));
        if (augmented) {
            isgi_rng rng;
            const uint64_t stream = f->o->teacher_views
                                        ? STREAM_VIEW + (uint64_t)b->view * isgi_feed_item_count(f) + item
                                        : STREAM_IMAGE + (uint64_t)f->epoch * f->train_count + first + i;
            isgi_rng_seed(&rng, f->o->seed, stream);
            augment(f, x, f->image, &rng);
        }
        b->items[i] = item;
        b->labels[i] = output_of(f, item);
    }
    if (++f->index == f->batches) {
        f->index = 0;
        f->epoch++;
    }
    return ISG_OK;
}

/* ---- the thread ---- */

static void *feed_main(void *arg)
{
    isgi_feed *f = arg;
    pthread_mutex_lock(&f->lock);
    while (!f->stop) {
        isg_status status;
        isgi_batch *b;
        if (f->filled == SLOTS || f->status != ISG_OK) {
            pthread_cond_wait(&f->changed, &f->lock);
            continue;
        }
        b = &f->slot[(f->head + f->filled) % SLOTS];
        pthread_mutex_unlock(&f->lock);
        status = prepare(f, b, &f->error);
        pthread_mutex_lock(&f->lock);
        f->status = status;
        if (status == ISG_OK) f->filled++;
        pthread_cond_broadcast(&f->changed);
    }
    pthread_mutex_unlock(&f->lock);
    return NULL;
}

static void stop_thread(isgi_feed *f)
{
    if (!f->running) return;
    pthread_mutex_lock(&f->lock);
    f->stop = 1;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
    pthread_join(f->thread, NULL);
    f->running = 0;
    f->stop = 0;
}

isg_status isgi_feed_seek(isgi_feed *f, uint32_t epoch, uint32_t index, isg_error *err)
{
    stop_thread(f);
    f->epoch = epoch;
    f->index = index;
    f->head = f->filled = 0;
    f->handed = 0;
    f->status = ISG_OK;
    if (index >= f->batches) return isgi_fail(err, ISG_E_ARG, "batch %u of %u", (unsigned)index, (unsigned)f->batches);
    if (pthread_create(&f->thread, NULL, feed_main, f) != 0) {
        return isgi_fail(err, ISG_E_IO, "cannot start the data thread");
    }
    f->running = 1;
    return ISG_OK;
}

isg_status isgi_feed_next(isgi_feed *f, const isgi_batch **batch, isg_error *err)
{
    isg_status status = ISG_OK;
    pthread_mutex_lock(&f->lock);
    if (f->handed) {
        f->head = (f->head + 1) % SLOTS;
        f->filled--;
        f->handed = 0;
        pthread_cond_broadcast(&f->changed);
    }
    while (f->filled == 0 && f->status == ISG_OK) pthread_cond_wait(&f->changed, &f->lock);
    if (f->filled == 0) {
        status = f->status;
        if (err) *err = f->error;
    } else {
        *batch = &f->slot[f->head];
        f->handed = 1;
    }
    pthread_mutex_unlock(&f->lock);
    return status;
}

isg_status isgi_feed_validation(isgi_feed *f, uint32_t first, uint32_t count, float *x, int32_t *labels, isg_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t item = f->split[f->train_count + first + i];
        ISGI_TRY(isg_dataset_load(f->data, item, &f->spec, x + (size_t)i * f->size, err));
        labels[i] = output_of(f, item);
    }
    return ISG_OK;
}

isg_status isgi_feed_checksum(const isgi_feed *f, uint32_t *out, isg_error *err)
{
    const isg_progress *p = &f->o->progress;
    const uint32_t items = isgi_feed_item_count(f);
    float *x = isgi_malloc(f->size * sizeof *x);
    uint32_t crc = 0;
    isg_status status = x ? ISG_OK : isgi_nomem(err);
    for (uint32_t item = 0; status == ISG_OK && item < items; item++) {
        if (item % 256 == 0 && p->report) p->report(p->user, "images", item, items, "");
        if (item % 256 == 0 && p->cancelled && p->cancelled(p->user)) {
            status = isgi_fail(err, ISG_E_CANCELLED, "stopped before a step was taken, while the images were read");
        } else {
            status = isg_dataset_load(f->data, item, &f->spec, x, err);
        }
        if (status == ISG_OK) crc = isgi_crc32c(crc, x, f->size * sizeof *x);
    }
    isg_free(x);
    *out = crc;
    return status;
}

#define SAMPLES 64u

isg_status isgi_feed_fingerprint(const isgi_feed *f, uint32_t *out, isg_error *err)
{
    const uint32_t items = isgi_feed_item_count(f), samples = items < SAMPLES ? items : SAMPLES;
    float *x = isgi_malloc(f->size * sizeof *x);
    uint32_t crc = 0;
    isg_status status = x ? ISG_OK : isgi_nomem(err);
    for (uint32_t item = 0; item < items; item++) {
        const int32_t label = isg_dataset_label(f->data, item);
        crc = isgi_crc32c(crc, &label, sizeof label);
    }
    for (uint32_t i = 0; status == ISG_OK && i < samples; i++) {
        status = isg_dataset_load(f->data, (uint64_t)items * i / samples, &f->spec, x, err);
        if (status == ISG_OK) crc = isgi_crc32c(crc, x, f->size * sizeof *x);
    }
    isg_free(x);
    *out = crc;
    return status;
}

/* ---- set-up ---- */

static isg_status split_set(isgi_feed *f, uint32_t total, isg_error *err)
{
    const double fraction = f->o->validation_fraction;
    isgi_rng rng;
    f->split = isgi_malloc(((size_t)total + 1) * sizeof *f->split);
    f->order = isgi_malloc(((size_t)total + 1) * sizeof *f->order);
    if (!f->split || !f->order) return isgi_nomem(err);
    for (uint32_t i = 0; i < total; i++) f->split[i] = i;
    f->validation_count = fraction > 0 && fraction < 1 ? (uint32_t)((double)total * fraction + 0.5) : 0;
    if (f->validation_count) {
        isgi_rng_seed(&rng, f->o->seed, STREAM_SPLIT);
        isgi_rng_shuffle(&rng, f->split, total);
    }
    f->train_count = total - f->validation_count;
    if (f->train_count == 0) return isgi_fail(err, ISG_E_ARG, "no training images are left");
    f->batches = (f->train_count + f->batch - 1) / f->batch;
    return ISG_OK;
}

static isg_status check_labels(const isgi_feed *f, uint32_t total, uint32_t outputs, isg_error *err)
{
    if (!isg_dataset_has_labels(f->data)) {
        if (f->o->distill_beta >= 1) return ISG_OK;
        return isgi_fail(err, ISG_E_ARG, "the dataset has no labels");
    }
    for (uint32_t i = 0; i < total; i++) {
        const int32_t y = output_of(f, i);
        if (outputs != INT32_MAX && (y < 0 || (uint32_t)y >= outputs)) {
            return isgi_fail(err, ISG_E_ARG, "label %d of item %u is output %d, the network has %u",
                             (int)isg_dataset_label(f->data, i), (unsigned)i, (int)y, (unsigned)outputs);
        }
    }
    return ISG_OK;
}

static isg_status feed_allocate(isgi_feed *f, isg_error *err)
{
    f->image = isgi_malloc(f->size * sizeof(float));
    if (!f->image) return isgi_nomem(err);
    for (int i = 0; i < SLOTS; i++) {
        const size_t share = isgi_batch_share(f->o->comm, f->batch);
        f->slot[i].x = isgi_malloc(f->size * share * sizeof(float));
        f->slot[i].labels = isgi_malloc(share * sizeof(int32_t));
        f->slot[i].items = isgi_malloc(share * sizeof(uint32_t));
        if (!f->slot[i].x || !f->slot[i].labels || !f->slot[i].items) return isgi_nomem(err);
    }
    return ISG_OK;
}

isg_status isgi_feed_create(isgi_feed **out, const isg_dataset *data, const isg_input_spec *spec,
                            const uint32_t shape[3], int32_t label_offset, uint32_t outputs, const isg_train_options *o,
                            isg_error *err)
{
    const uint64_t total = isg_dataset_count(data);
    isgi_feed *f;
    isg_status status;
    if (total == 0 || total > INT32_MAX) return isgi_fail(err, ISG_E_ARG, "the dataset is empty or too large");
    f = isgi_calloc(1, sizeof *f);
    if (!f) return isgi_nomem(err);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    f->data = data;
    f->o = o;
    if (spec) f->spec = *spec;
    memcpy(f->shape, shape, sizeof f->shape);
    f->spec.channels = shape[0];
    f->spec.height = shape[1];
    f->spec.width = shape[2];
    f->batch = o->batch;
    f->label_offset = label_offset;
    f->size = (size_t)shape[0] * shape[1] * shape[2];
    for (int c = 0; c < 4; c++) {
        const float std = f->spec.std[c] != 0 ? f->spec.std[c] : 1;
        f->black[c] = f->spec.identity ? 0 : (0.0f - f->spec.mean[c]) / std;
    }
    status = split_set(f, (uint32_t)total, err);
    if (status == ISG_OK) status = check_labels(f, (uint32_t)total, outputs, err);
    if (status == ISG_OK) status = feed_allocate(f, err);
    if (status != ISG_OK) {
        isgi_feed_destroy(f);
        return status;
    }
    *out = f;
    return ISG_OK;
}

void isgi_feed_destroy(isgi_feed *f)
{
    if (!f) return;
    stop_thread(f);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    for (int i = 0; i < SLOTS; i++) {
        isg_free(f->slot[i].x);
        isg_free(f->slot[i].labels);
        isg_free(f->slot[i].items);
    }
    isg_free(f->image);
    isg_free(f->split);
    isg_free(f->order);
    isg_free(f);
}
