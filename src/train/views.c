/* SPDX-License-Identifier: Apache-2.0 */
/* A teacher's outputs for the few views of each training image that a run keeps to: computed before the first step,
 * kept in a file that other runs with the same teacher, images and views read. */
#include "train/identity.h"
#include "train/sealed.h"
#include "train/trainer.h"

#include "base/checked.h"
#include "base/endian.h"
#include "base/error.h"
#include "host/alloc.h"

#include <stdio.h>
#include <string.h>

#define HEADER_BYTES (ISGI_SEALED_FIELDS + 8)

static size_t floats_of(const isgi_trainer *t)
{
    return (size_t)t->view_count * t->items * t->net->classes; /* set_sizes() has checked it */
}

static float *outputs_of(const isgi_trainer *t, uint32_t view, uint32_t item)
{
    return t->views + ((size_t)view * t->items + item) * t->net->classes;
}

/* A file is for runs of any length; alone, views that no epoch shows need no outputs. */
static isg_status set_sizes(isgi_trainer *t, isg_error *err)
{
    int overflow = 0;
    t->items = isgi_feed_item_count(t->feed);
    t->view_count = t->o.teacher_views;
    if (!t->o.teacher_cache && t->o.epochs > 0 && t->o.epochs < t->view_count) t->view_count = t->o.epochs;
    (void)isgi_mul_size(isgi_mul_size(t->view_count, t->items, &overflow), t->net->classes * sizeof(float), &overflow);
    if (overflow) return isgi_fail(err, ISG_E_LIMIT, "%u views of a teacher are too many", t->o.teacher_views);
    return ISG_OK;
}

/* ---- which outputs they are ---- */

/* Of the teacher, the images and the views of them; not of device and precision, which move outputs by rounding only.
 */
static isg_status make_key(const isgi_trainer *t, uint8_t key[32], isg_error *err)
{
    const isg_train_options *o = &t->o;
    char line[160];
    isgi_buffer b;
    uint32_t images = 0;
    int n;
    isg_status status = isgi_feed_checksum(t->feed, &images, err);
    n = snprintf(line, sizeof line, "%u %u %u %d %u %a %llu %08x\n", o->teacher_views, t->items, o->crop_pad, o->flip,
                 o->cutout, o->validation_fraction, (unsigned long long)o->seed, (unsigned)images);
    isgi_buffer_init(&b, (size_t)1 << 30);
    if (status == ISG_OK) status = isgi_buffer_append(&b, line, (size_t)n, err);
    if (status == ISG_OK) status = isgi_identity_graph(&b, t->teacher_graph, err);
    if (status == ISG_OK) isg_sha256(key, b.data, b.size);
    isgi_buffer_free(&b);
    return status;
}

/* ---- the file ---- */

static isgi_sealed seal_of(const isgi_trainer *t, const uint8_t key[32])
{
    return (isgi_sealed){.path = t->o.teacher_cache,
                         .magic = "ISGVIEW\1",
                         .hash = key,
                         .header_bytes = HEADER_BYTES,
                         .strange = "not a teacher's outputs of this version and byte order",
                         .damaged = "the teacher's outputs are damaged",
                         .foreign = "of another teacher, other images or other views of them",
                         .odd_size = "sizes do not fit the run"};
}

static isg_status save(const isgi_trainer *t, const uint8_t key[32], isg_error *err)
{
    const isgi_sealed seal = seal_of(t, key);
    const isgi_floats outputs = {t->views, floats_of(t)};
    uint8_t header[HEADER_BYTES];
    isgi_sealed_begin(&seal, header);
    isgi_store_u64(header + ISGI_SEALED_FIELDS, t->views_done);
    return isgi_sealed_write(&seal, header, &outputs, 1, err);
}

/* The whole file is good; how many of its views are done: a run that was stopped leaves the later ones open. */
static isg_status check(const isgi_trainer *t, const uint8_t key[32], const void *bytes, size_t size, uint32_t *done,
                        isg_error *err)
{
    const isgi_sealed seal = seal_of(t, key);
    char name[128];
    uint64_t views;
    ISGI_TRY(isgi_sealed_check(&seal, bytes, size, floats_of(t), err));
    views = isgi_load_u64((const uint8_t *)bytes + ISGI_SEALED_FIELDS);
    if (views < 1 || views > t->view_count) {
        return isgi_fail(err, ISG_E_FORMAT, "%s: another number of views than its key says",
                         isgi_escape(name, sizeof name, t->o.teacher_cache));
    }
    *done = (uint32_t)views;
    return ISG_OK;
}

isg_status isgi_views_read(isgi_trainer *t, const uint8_t key[32], const void *bytes, size_t size, isg_error *err)
{
    ISGI_TRY(check(t, key, bytes, size, &t->views_done, err));
    memcpy(t->views, (const uint8_t *)bytes + HEADER_BYTES, floats_of(t) * sizeof(float));
    return ISG_OK;
}

static isg_status load(isgi_trainer *t, const uint8_t key[32], isg_error *err)
{
    isg_file file;
    isg_status status;
    ISGI_TRY(isg_file_open(&file, t->o.teacher_cache, err));
    status = isgi_views_read(t, key, file.data, file.size, err);
    isg_file_close(&file);
    return status;
}

/* ---- computing them ---- */

static isg_status run_teacher(isgi_trainer *t, isg_error *err)
{
    const uint64_t per = isgi_feed_batches(t->feed), total = per * t->view_count;
    const isg_progress *p = &t->o.progress;
    ISGI_TRY(isgi_feed_seek(t->feed, t->views_done, 0, err));
    for (uint64_t done = per * t->views_done; done < total; done++) {
        const isgi_batch *b;
        if (p->cancelled && p->cancelled(p->user)) {
            return isgi_fail(err, ISG_E_CANCELLED,
                             "stopped before a step was taken, while the teacher's outputs were computed");
        }
        ISGI_TRY(isgi_feed_next(t->feed, &b, err));
        isgi_net_load(t->teacher, b->x, b->count);
        ISGI_TRY(isgi_net_forward(t->teacher, 0, err));
        ISGI_TRY(isgi_teacher_finite(t, err));
        for (uint32_t i = 0; i < b->count; i++) {
            memcpy(outputs_of(t, b->view, b->items[i]), isgi_net_logits(t->teacher, i),
                   t->net->classes * sizeof(float));
        }
        t->views_done = (uint32_t)((done + 1) / per);
        if (p->report) p->report(p->user, "teacher", done + 1, total, "");
    }
    t->views_done = t->view_count;
    return ISG_OK;
}

/* Views of a file that another run wrote there meanwhile, or that this one went on from. */
static uint32_t views_kept(const isgi_trainer *t, const uint8_t key[32])
{
    isg_file file;
    isg_error unwanted;
    uint32_t done = 0;
    if (isg_file_open(&file, t->o.teacher_cache, &unwanted) != ISG_OK) return 0;
    (void)!check(t, key, file.data, file.size, &done, &unwanted);
    isg_file_close(&file);
    return done;
}

/* Stopped: whole views are kept for the next run, unless the file has as many. */
static isg_status keep_views(const isgi_trainer *t, const uint8_t key[32], isg_error *err)
{
    if (t->views_done > views_kept(t, key)) ISGI_TRY(save(t, key, err));
    return isgi_fail(err, ISG_E_CANCELLED,
                     "stopped before a step was taken, with %u of the teacher's %u views computed",
                     (unsigned)t->views_done, (unsigned)t->view_count);
}

/* A place that cannot be written shows before the work; nothing of the file exists while that goes on. */
static isg_status run_and_save(isgi_trainer *t, const uint8_t key[32], isg_error *err)
{
    isg_writer *w = NULL;
    isg_status status;
    ISGI_TRY(isg_writer_open(&w, t->o.teacher_cache, err));
    isg_writer_abort(w);
    status = run_teacher(t, err);
    if (status == ISG_E_CANCELLED) return keep_views(t, key, err);
    return status == ISG_OK ? save(t, key, err) : status;
}

isg_status isgi_views_prepare(isgi_trainer *t, isg_error *err)
{
    uint8_t key[32];
    ISGI_TRY(set_sizes(t, err));
    t->views = isgi_calloc(floats_of(t), sizeof *t->views);
    if (!t->views) return isgi_nomem(err);
    if (!t->o.teacher_cache) {
        ISGI_TRY(run_teacher(t, err));
    } else {
        ISGI_TRY(make_key(t, key, err));
        if (isgi_checkpoint_exists(t->o.teacher_cache)) ISGI_TRY(load(t, key, err));
        if (t->views_done < t->view_count) ISGI_TRY(run_and_save(t, key, err));
    }
    isgi_net_destroy(t->teacher);
    t->teacher = NULL;
    return ISG_OK;
}

void isgi_views_take(const isgi_trainer *t, const isgi_batch *b, float *outputs)
{
    for (uint32_t i = 0; i < b->count; i++) {
        memcpy(outputs + (size_t)i * t->net->classes, outputs_of(t, b->view, b->items[i]),
               t->net->classes * sizeof(float));
    }
}
