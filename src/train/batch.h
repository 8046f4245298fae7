/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: the validation split, shuffling, augmentation, and a thread that prepares the next one. */
#ifndef INSITU_TRAIN_BATCH_H
#define INSITU_TRAIN_BATCH_H

#include <insitu/data.h>
#include <insitu/train.h>

/* Everything random is a function of (seed, epoch, place in the epoch): there is no state to save. With
 * o->teacher_views epoch e shows every image in its view e modulo their number, which is a function of (seed, view,
 * item). */
typedef struct isgi_feed isgi_feed;

/* The samples of a batch that a rank works on: places *first.. of it, as many as returned. Ranks take equal runs of
 * `batch` in their order, so the last ones have less of a short batch (`total` samples), or nothing. */
static inline uint32_t isgi_batch_share(const isg_comm *c, uint32_t batch)
{
    return c ? (batch + c->size - 1) / c->size : batch;
}
static inline uint32_t isgi_batch_part(const isg_comm *c, uint32_t batch, uint32_t total, uint32_t *first)
{
    const uint32_t share = isgi_batch_share(c, batch), rank = c ? c->rank : 0;
    *first = rank * (uint64_t)share < total ? rank * share : total;
    return total - *first < share ? total - *first : share;
}

typedef struct isgi_batch {
    float *x;        /* count samples in the network's layout */
    int32_t *labels; /* output index, or -1 */
    uint32_t *items; /* of the dataset */
    uint32_t view;   /* with o->teacher_views: which of their views the samples show */
    uint32_t count;  /* the last batch of an epoch may be short; it is kept */
    uint32_t total;  /* of all ranks together; count may then be 0 in a short batch */
} isgi_batch;

/* o->comm: batches hold this rank's part, o->batch is of all ranks together. channels x height x width of the network's
 * input; outputs: labels + offset outside 0..outputs-1 are refused (ARG). */
ISG_NODISCARD isg_status isgi_feed_create(isgi_feed **out, const isg_dataset *data, const isg_input_spec *spec,
                                          const uint32_t shape[3], int32_t label_offset, uint32_t outputs,
                                          const isg_train_options *o, isg_error *err);
void isgi_feed_destroy(isgi_feed *f);
uint32_t isgi_feed_batches(const isgi_feed *f); /* training batches an epoch */
uint32_t isgi_feed_train_count(const isgi_feed *f);
uint32_t isgi_feed_validation_count(const isgi_feed *f);
uint32_t isgi_feed_item_count(const isgi_feed *f); /* of the dataset */
/* CRC32C of all labels and of some images, up to 64 spread over the dataset: to tell data apart at no cost. */
ISG_NODISCARD isg_status isgi_feed_fingerprint(const isgi_feed *f, uint32_t *out, isg_error *err);
/* CRC32C of all images as the network reads them. Reports progress and may be CANCELLED: files of pictures take long.
 */
ISG_NODISCARD isg_status isgi_feed_checksum(const isgi_feed *f, uint32_t *out, isg_error *err);
/* The next call of next() gives batch `index` of `epoch`; later calls go on from there without end. */
ISG_NODISCARD isg_status isgi_feed_seek(isgi_feed *f, uint32_t epoch, uint32_t index, isg_error *err);
/* Valid until the next call. */
ISG_NODISCARD isg_status isgi_feed_next(isgi_feed *f, const isgi_batch **batch, isg_error *err);
/* Validation samples first..first+count-1 (count <= batch), without augmentation, into the caller's arrays. */
ISG_NODISCARD isg_status isgi_feed_validation(isgi_feed *f, uint32_t first, uint32_t count, float *x, int32_t *labels,
                                              isg_error *err);

#endif
