/* SPDX-License-Identifier: Apache-2.0 */
/* Training end to end on synthetic images: overfitting, resuming, determinism, NaN, factors, renormalisation. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <insitu/train.h>

#include "graph/graph_internal.h"
#include "host/alloc.h"
#include "train/batch.h"
#include "train/dnn.h"
#include "train/net.h"
#include "train/optim.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "bar_images.h"

#define SEED 77u
#define IMAGES 80
#define SIDE 16

static int make_set(void **state)
{
    return make_bar_images(state, SEED, IMAGES, SIDE, 3);
}

static isg_dataset *open_set(void)
{
    char spec[PATH_MAX + 8];
    isg_dataset *ds = NULL;
    isg_error err = {0};
    snprintf(spec, sizeof spec, "idx:%s", folder);
    if (isg_dataset_open(&ds, spec, ISG_SPLIT_TRAIN, &err) != ISG_OK) fail_msg("%s", err.message);
    return ds;
}

static isg_input_spec unit_input(void)
{
    isg_input_spec in;
    memset(&in, 0, sizeof in);
    assert_int_equal(isg_input_spec_parse(&in, "unit,mean=0.3,std=0.3", NULL), ISG_OK);
    return in;
}

static isg_graph *small_net(void)
{
    isg_graph *g = NULL;
    assert_int_equal(isg_arch_build(&g, "fig5a", 1, SIDE, SIDE, 10, SEED, NULL), ISG_OK);
    return g;
}

static isg_train_options options(void)
{
    isg_train_options o;
    isg_train_options_default(&o);
    o.epochs = 2;
    o.batch = 32;
    o.threads = 1;
    o.validation_fraction = 0;
    return o;
}

static isg_status train(isg_graph *g, const isg_graph *teacher, const isg_train_options *o, isg_train_report *r,
                        isg_error *err)
{
    isg_dataset *ds = open_set();
    const isg_input_spec in = unit_input();
    isg_status status = isg_train(g, teacher, ds, &in, 0, o, r, err);
    isg_dataset_close(ds);
    return status;
}

static void assert_same_weights(const isg_graph *a, const isg_graph *b)
{
    assert_int_equal(a->value_count, b->value_count);
    for (int32_t i = 0; i < a->value_count; i++) {
        const isg_tensor *x = a->values[i].constant, *y = b->values[i].constant;
        if (!x) continue;
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->data, y->data, (size_t)x->count * isg_dtype_size(x->dtype));
    }
}

static char *slurp(const char *path)
{
    static char text[2][65536];
    static int which;
    FILE *f = fopen(path, "rb");
    size_t n;
    which = !which;
    assert_non_null(f);
    n = fread(text[which], 1, sizeof text[which] - 1, f);
    text[which][n] = 0;
    fclose(f);
    return text[which];
}

static void test_overfit(void **state)
{
    static const uint32_t optimizers[] = {ISG_OPT_SGD, ISG_OPT_RADAM, ISG_OPT_ADAMW};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        isg_graph *g = small_net();
        isg_train_options o = options();
        isg_train_report r;
        isg_error err = {0};
        o.epochs = 20;
        o.optimizer = optimizers[i];
        o.learning_rate = o.optimizer == ISG_OPT_SGD ? 0.02f : 5e-3f;
        o.grad_clip = 5;
        if (train(g, NULL, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(r.steps, 60);
        if (r.train_accuracy < 0.99) fail_msg("optimiser %zu: accuracy %g", i, r.train_accuracy);
        isg_graph_destroy(g);
    }
}

static void check_deterministic(uint32_t precision)
{
    isg_graph *g[3];
    for (int i = 0; i < 3; i++) {
        isg_train_options o = options();
        o.threads = i == 2 ? 3 : 1;
        o.precision = precision;
        o.crop_pad = 2;
        o.flip = 1;
        o.cutout = 4;
        o.ema_decay = 0.9f;
        o.validation_fraction = 0.2;
        g[i] = small_net();
        assert_int_equal(train(g[i], NULL, &o, NULL, NULL), ISG_OK);
    }
    assert_same_weights(g[0], g[1]);
    assert_same_weights(g[0], g[2]);
    for (int i = 0; i < 3; i++) isg_graph_destroy(g[i]);
}

static void test_deterministic(void **state)
{
    (void)state;
    check_deterministic(ISG_PRECISION_F32);
    check_deterministic(ISG_PRECISION_BF16);
}

static int cancel_when(void *user)
{
    int *left = user;
    return (*left)-- <= 0;
}

static void test_resume(void **state)
{
    static const int stops[] = {0, 1, 3, 5, 8};
    isg_graph *whole = small_net();
    isg_train_options o = options();
    isg_train_report ra, rb;
    char a[512], b[512], ckpt[512];
    (void)state;
    snprintf(a, sizeof a, "%s", in_folder("a.csv"));
    snprintf(b, sizeof b, "%s", in_folder("b.csv"));
    snprintf(ckpt, sizeof ckpt, "%s", in_folder("b.ckpt"));
    o.epochs = 4;
    o.validation_fraction = 0.1;
    o.ema_decay = 0.95f;
    o.crop_pad = 1;
    o.log_csv = a;
    assert_int_equal(train(whole, NULL, &o, &ra, NULL), ISG_OK);
    for (size_t i = 0; i < sizeof stops / sizeof *stops; i++) {
        isg_graph *g = small_net(), *again = small_net();
        isg_train_options p = o;
        int left = stops[i];
        unlink(ckpt);
        unlink(b);
        p.log_csv = b;
        p.checkpoint = ckpt;
        p.resume = 1;
        p.progress.cancelled = cancel_when;
        p.progress.user = &left;
        assert_int_equal(train(g, NULL, &p, &rb, NULL), ISG_E_CANCELLED);
        assert_int_equal(rb.steps, stops[i]);
        memset(&p.progress, 0, sizeof p.progress);
        assert_int_equal(train(again, NULL, &p, &rb, NULL), ISG_OK);
        assert_string_equal(slurp(a), slurp(b));
        assert_same_weights(whole, again);
        assert_int_equal(ra.steps, rb.steps);
        /* NaN where nothing was held back */
        assert_true(ra.validation_accuracy == rb.validation_accuracy ||
                    (isnan(ra.validation_accuracy) && isnan(rb.validation_accuracy)));
        isg_graph_destroy(g);
        isg_graph_destroy(again);
    }
    isg_graph_destroy(whole);
}

static isg_tensor *constant_of(const isg_graph *g, const char *name)
{
    const int32_t v = isg_graph_find_value(g, name);
    assert_true(v >= 0);
    return g->values[v].constant;
}

static void infer(const isg_graph *g, float out[80])
{
    isgi_net *net = NULL;
    const isgi_net_options o = {.batch = 8};
    float x[8 * SIDE * SIDE];
    isgi_rng rng;
    isg_error err = {0};
    isgi_rng_seed(&rng, SEED, 5);
    isgi_rng_fill_normal(&rng, x, 8 * SIDE * SIDE, 0, 1);
    if (isgi_net_create(&net, g, &o, &err) != ISG_OK) fail_msg("%s", err.message);
    isgi_net_load(net, x, 8);
    assert_int_equal(isgi_net_forward(net, 0, NULL), ISG_OK);
    for (uint32_t i = 0; i < 8; i++) memcpy(out + i * 10, isgi_net_logits(net, i), 10 * sizeof *out);
    isgi_net_destroy(net);
}

/* One run of a fresh network, or of `teacher`'s student. */
static isg_status train_fresh(const isg_train_options *o, const isg_graph *teacher, float change)
{
    isg_graph *g = small_net();
    isg_error err;
    isg_status status;
    ((float *)constant_of(g, "conv2.weight")->data)[5] += change;
    status = train(g, teacher, o, NULL, &err);
    isg_graph_destroy(g);
    return status;
}

static void test_checkpoint_refused(void **state)
{
    isg_graph *teacher = small_net();
    isg_train_options o = options();
    char ckpt[512], images[512];
    FILE *f;
    int old;
    (void)state;
    snprintf(ckpt, sizeof ckpt, "%s", in_folder("b.ckpt"));
    snprintf(images, sizeof images, "%s", in_folder("train-images-idx3-ubyte"));
    unlink(ckpt);
    o.checkpoint = ckpt;
    o.distill_beta = 0.5f;
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_OK);
    o.resume = 1;
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_OK);
    o.learning_rate *= 2;
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_E_ARG);
    o.learning_rate /= 2;
    assert_int_equal(train_fresh(&o, teacher, 0.25f), ISG_E_ARG); /* another student, */
    ((float *)constant_of(teacher, "conv2.weight")->data)[5] += 1;
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_E_ARG); /* another teacher, */
    ((float *)constant_of(teacher, "conv2.weight")->data)[5] -= 1;
    f = fopen(images, "r+b");
    assert_non_null(f);
    fseek(f, 16, SEEK_SET);
    old = fgetc(f);
    fseek(f, 16, SEEK_SET);
    fputc(old ^ 1, f);
    fflush(f);
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_E_ARG); /* other images */
    fseek(f, 16, SEEK_SET);
    fputc(old, f);
    fclose(f);
    f = fopen(ckpt, "r+b");
    assert_non_null(f);
    fseek(f, 5000, SEEK_SET);
    fputc(0x55, f);
    fputc(0xaa, f);
    fclose(f);
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_E_CHECKSUM);
    assert_int_equal(truncate(ckpt, 100), 0);
    assert_int_equal(train_fresh(&o, teacher, 0), ISG_E_FORMAT);
    isg_graph_destroy(teacher);
}

/* Two layers with one bias, two BatchNorms with one of everything: what is trained is what comes out. */
static void test_shared_constants(void **state)
{
    isg_graph *g = small_net(), *apart = NULL;
    const isg_train_options o = options();
    const isg_node *norm = NULL;
    float whole[80], again[80];
    int shared = 0;
    (void)state;
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_node *n = &g->nodes[i];
        if (n->op != ISG_OP_BATCH_NORM) continue;
        for (int32_t k = 1; norm && k < 5; k++) {
            if (g->values[norm->inputs[k]].dims[0] != g->values[n->inputs[k]].dims[0]) continue;
            n->inputs[k] = norm->inputs[k];
            shared++;
        }
        norm = n;
    }
    assert_true(shared > 0);
    assert_int_equal(isg_graph_clone(&apart, g, NULL), ISG_OK);
    infer(g, whole);
    assert_int_equal(isgi_graph_untie(apart, NULL), ISG_OK);
    infer(apart, again);
    assert_memory_equal(whole, again, sizeof whole);
    isg_graph_destroy(apart);
    assert_int_equal(train(g, NULL, &o, NULL, NULL), ISG_OK);
    for (int32_t i = 0; i < g->node_count; i++) {
        const isg_node *a = &g->nodes[i];
        for (int32_t j = 0; a->op == ISG_OP_BATCH_NORM && j < i; j++) {
            const isg_node *b = &g->nodes[j];
            for (int32_t k = 1; b->op == ISG_OP_BATCH_NORM && k < 5; k++)
                assert_int_not_equal(a->inputs[k], b->inputs[k]);
        }
    }
    isg_graph_destroy(g);
}

static void test_nan(void **state)
{
    isg_graph *g = small_net();
    const isg_train_options o = options();
    isg_error err = {0};
    (void)state;
    ((float *)constant_of(g, "conv2.weight")->data)[5] = NAN;
    assert_int_equal(train(g, NULL, &o, NULL, &err), ISG_E_NUMERIC);
    assert_non_null(strstr(err.message, "step 1"));
    assert_non_null(strstr(err.message, "conv2"));
    isg_graph_destroy(g);
}

static void fill_factor(isg_factor *f, isgi_rng *rng, uint8_t bits, uint8_t per_column)
{
    if (f->rows == 0) return;
    isgi_rng_fill_normal(rng, f->master, (size_t)f->rows * f->cols, 0, 0.3f);
    f->quant = (isg_quant_spec){bits, ISG_QUANT_MIDTREAD, per_column, 32};
    assert_int_equal(isg_factor_fit_scale(f, NULL), ISG_OK);
}

/* conv2 and conv3 from factors, one with a scale a column. */
static isg_graph *factored_net(void)
{
    static const char *const names[] = {"conv2.weight", "conv3.weight"};
    isg_graph *g = small_net();
    isgi_rng rng;
    isgi_rng_seed(&rng, SEED, 9);
    for (int i = 0; i < 2; i++) {
        isg_value *v = &g->values[isg_graph_find_value(g, names[i])];
        isg_factors *f = NULL;
        assert_int_equal(isg_factors_create(&f, 25, 32, 32, isg_factor_levels(32, 32, 25, 3, 12, 0, 0), 0, NULL),
                         ISG_OK);
        fill_factor(&f->basis, &rng, 4, 0);
        fill_factor(&f->u, &rng, 6, 0);
        fill_factor(&f->v, &rng, 4, (uint8_t)i);
        isg_tensor_destroy(v->constant);
        v->constant = NULL;
        v->factors = f;
    }
    return g;
}

static int differs(const isg_factor *a, const isg_factor *b)
{
    return memcmp(a->master, b->master, (size_t)a->rows * a->cols * sizeof(float)) != 0 && a->scale[0] != b->scale[0];
}

static void test_factors(void **state)
{
    isg_graph *g = factored_net(), *before = factored_net();
    const int32_t v = isg_graph_find_value(g, "conv3.weight");
    const isg_factors *a = g->values[v].factors, *b = before->values[v].factors;
    isg_train_options o = options();
    isg_train_report r;
    isg_error err = {0};
    (void)state;
    o.epochs = 60;
    o.learning_rate = 1e-2f;
    o.ortho_weight = 0.01f;
    if (train(g, NULL, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
    if (r.train_accuracy < 0.95) fail_msg("accuracy %g", r.train_accuracy);
    assert_true(differs(&a->basis, &b->basis));
    assert_true(differs(&a->u, &b->u));
    assert_true(differs(&a->v, &b->v));
    isg_graph_destroy(g);
    isg_graph_destroy(before);
}

/* Logits of 8 noise images in inference. */
/* A network without BatchNorm: their nodes are turned into a harmless Clip. */
static isg_graph *without_batchnorm(isg_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_node *n = &g->nodes[i];
        if (n->op != ISG_OP_BATCH_NORM) continue;
        n->op = ISG_OP_CLIP;
        n->input_count = 1;
        n->attr.scalar.lo = -100.0f;
        n->attr.scalar.hi = 100.0f;
    }
    return g;
}

static void test_renormalise(void **state)
{
    (void)state;
    for (int factored = 0; factored < 2; factored++) {
        isg_graph *g = without_batchnorm(factored ? factored_net() : small_net());
        const int32_t nodes = g->node_count;
        isg_train_options o = options();
        isg_train_report r;
        isg_error err = {0};
        float a[80], b[80], top = 0;
        infer(g, a);
        o.renormalise = 1;
        o.max_steps = 1;
        o.learning_rate = 1e-12f;
        o.weight_decay = 0;
        o.validation_fraction = 0.5; /* running statistics move a little: not beyond a tenth */
        if (train(g, NULL, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(g->node_count, nodes);
        infer(g, b);
        for (int i = 0; i < 80; i++) top = fmaxf(top, fabsf(a[i]));
        for (int i = 0; i < 80; i++) {
            if (!(fabsf(a[i] - b[i]) < 0.1f * top))
                fail_msg("factored %d: logit %d was %g, is %g", factored, i, (double)a[i], (double)b[i]);
        }
        o.max_steps = 0;
        o.epochs = 60;
        o.learning_rate = 5e-3f;
        o.validation_fraction = 0;
        if (train(g, NULL, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
        if (r.train_accuracy < 0.95) fail_msg("factored %d: accuracy %g", factored, r.train_accuracy);
        assert_int_equal(g->node_count, nodes);
        isg_graph_destroy(g);
    }
}

/* ---- projected weights ---- */

static isg_status copy_of(void *user, const char *value, const float *master, float *w, size_t count, isg_error *err)
{
    (void)user;
    (void)value;
    (void)err;
    memcpy(w, master, count * sizeof *w);
    return ISG_OK;
}

/* Whatever the master is. */
static isg_status fixed(void *user, const char *value, const float *master, float *w, size_t count, isg_error *err)
{
    (void)user;
    (void)value;
    (void)master;
    (void)err;
    for (size_t i = 0; i < count; i++) w[i] = (float)((int)(i * 7 % 11) - 5) * 0.02f;
    return ISG_OK;
}

static isg_status refuse(void *user, const char *value, const float *master, float *w, size_t count, isg_error *err)
{
    (void)user;
    (void)value;
    (void)master;
    (void)w;
    (void)count;
    return isgi_fail(err, ISG_E_NUMERIC, "no form");
}

static void shift_weights(isg_graph *g, float by)
{
    for (int32_t i = 0; i < g->value_count; i++) {
        isg_tensor *c = g->values[i].constant;
        if (!c || c->rank < 2) continue;
        for (int64_t k = 0; k < c->count; k++) ((float *)c->data)[k] += by;
    }
}

/* What is left of the masters after a step depends on them only by where they began: gradients pass straight through,
 * from the weights that were made. */
static void check_straight_through(void)
{
    isg_graph *a = small_net(), *b = small_net();
    isg_train_options o = options();
    o.max_steps = 1;
    o.optimizer = ISG_OPT_SGD;
    o.weight_decay = 0;
    o.project = fixed;
    shift_weights(b, 0.5f);
    assert_int_equal(train(a, NULL, &o, NULL, NULL), ISG_OK);
    assert_int_equal(train(b, NULL, &o, NULL, NULL), ISG_OK);
    for (int32_t i = 0; i < a->value_count; i++) {
        const isg_tensor *x = a->values[i].constant, *y = b->values[i].constant;
        if (!x) continue;
        for (int64_t k = 0; k < x->count; k++) {
            const double moved = (double)((float *)y->data)[k] - (double)((float *)x->data)[k];
            assert_true(fabs(moved - (x->rank < 2 ? 0.0 : 0.5)) < 1e-6);
        }
    }
    isg_graph_destroy(a);
    isg_graph_destroy(b);
}

static void test_project(void **state)
{
    isg_graph *a = small_net(), *b = small_net();
    isg_train_options o = options();
    isg_error err = {0};
    (void)state;
    assert_int_equal(train(a, NULL, &o, NULL, NULL), ISG_OK);
    o.project = copy_of;
    assert_int_equal(train(b, NULL, &o, NULL, NULL), ISG_OK);
    assert_same_weights(a, b);
    check_straight_through();
    o.project = refuse;
    assert_int_equal(train(b, NULL, &o, NULL, &err), ISG_E_NUMERIC);
    assert_non_null(strstr(err.message, "no form"));
    o.renormalise = 1;
    assert_int_equal(train(b, NULL, &o, NULL, &err), ISG_E_ARG);
    o.renormalise = 0;
    o.checkpoint = "not-written";
    assert_int_equal(train(b, NULL, &o, NULL, &err), ISG_E_ARG);
    o.checkpoint = NULL;
    o.device = "reference";
    assert_int_equal(train(b, NULL, &o, NULL, &err), ISG_E_UNSUPPORTED);
    assert_same_weights(a, b);
    isg_graph_destroy(a);
    isg_graph_destroy(b);
}

static void test_distill(void **state)
{
    isg_graph *teacher = small_net(), *student = factored_net();
    isg_train_options o = options();
    isg_train_report r;
    isg_error err = {0};
    (void)state;
    assert_int_equal(
        train(student, NULL,
              &(isg_train_options){
                  .struct_size = sizeof o, .learning_rate = 1, .distill_beta = 1, .distill_temperature = 3},
              NULL, &err),
        ISG_E_ARG);
    o.epochs = 20;
    o.learning_rate = 5e-3f;
    assert_int_equal(train(teacher, NULL, &o, &r, NULL), ISG_OK);
    o.learning_rate = 1e-2f;
    o.distill_beta = 1;
    o.distill_temperature = 3;
    o.epochs = 60;
    if (train(student, teacher, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
    if (r.train_accuracy < 0.9) fail_msg("accuracy %g", r.train_accuracy);
    isg_graph_destroy(teacher);
    isg_graph_destroy(student);
}

/* The same curve whether the outputs are computed, computed and kept, or read; what does not fit is refused. */
static void test_views(void **state)
{
    static const char *const logs[] = {"a.csv", "b.csv", "c.csv"};
    isg_graph *teacher = small_net(), *stranger = NULL, *students[3] = {0};
    char cache[512];
    isg_train_options o = options();
    isg_error err = {0};
    (void)state;
    o.learning_rate = 5e-3f;
    assert_int_equal(train(teacher, NULL, &o, NULL, NULL), ISG_OK);
    snprintf(cache, sizeof cache, "%s", in_folder("views"));
    o.teacher_views = 2;
    assert_int_equal(train(teacher, NULL, &o, NULL, &err), ISG_E_ARG);
    o.epochs = 4;
    o.crop_pad = 2;
    o.flip = 1;
    o.distill_beta = 0.9f;
    o.validation_fraction = 0.1;
    for (int i = 0; i < 3; i++) {
        char log[512];
        snprintf(log, sizeof log, "%s", in_folder(logs[i]));
        o.log_csv = log;
        o.teacher_cache = i ? cache : NULL;
        students[i] = factored_net();
        if (train(students[i], teacher, &o, NULL, &err) != ISG_OK) fail_msg("%s", err.message);
        if (i) assert_string_equal(slurp(log), slurp(in_folder(logs[0])));
        assert_same_weights(students[i], students[0]);
    }
    /* a run beside its teacher shows other pictures */
    {
        isg_graph *beside = factored_net();
        char log[512];
        snprintf(log, sizeof log, "%s", in_folder("c.csv"));
        o.log_csv = log;
        o.teacher_views = 0;
        assert_int_equal(train(beside, teacher, &o, NULL, &err), ISG_E_ARG); /* a file, and no number of views */
        o.teacher_cache = NULL;
        assert_int_equal(train(beside, teacher, &o, NULL, &err), ISG_OK);
        assert_string_not_equal(slurp(log), slurp(in_folder(logs[0])));
        isg_graph_destroy(beside);
    }
    o.log_csv = NULL;
    o.teacher_cache = cache;
    o.teacher_views = 3;
    assert_int_equal(train(students[0], teacher, &o, NULL, &err), ISG_E_ARG);
    o.teacher_views = 2;
    o.seed = 2;
    assert_int_equal(train(students[0], teacher, &o, NULL, &err), ISG_E_ARG);
    o.seed = 1;
    stranger = small_net();
    assert_int_equal(train(students[0], stranger, &o, NULL, &err), ISG_E_ARG);
    assert_non_null(strstr(err.message, "of another teacher"));
    for (int i = 0; i < 3; i++) isg_graph_destroy(students[i]);
    isg_graph_destroy(stranger);
    isg_graph_destroy(teacher);
}

/* Stopped among the images, among the teacher's outputs and among steps, and gone on, with a file of outputs and
 * without: the run that was never stopped. */
static void test_views_resume(void **state)
{
    isg_graph *teacher = small_net(), *whole = factored_net();
    isg_train_options o = options();
    isg_train_report report;
    isg_error err = {0};
    char a[512], b[512], ckpt[512], cache[512];
    (void)state;
    snprintf(a, sizeof a, "%s", in_folder("a.csv"));
    snprintf(b, sizeof b, "%s", in_folder("b.csv"));
    snprintf(ckpt, sizeof ckpt, "%s", in_folder("b.ckpt"));
    snprintf(cache, sizeof cache, "%s", in_folder("views"));
    o.epochs = 4;
    o.flip = 1;
    o.distill_beta = 0.9f;
    o.teacher_views = 2;
    o.log_csv = a;
    if (train(whole, teacher, &o, &report, &err) != ISG_OK) fail_msg("%s", err.message);
    unlink(cache);
    for (int stop = 0; stop < 13; stop += 3) {
        isg_graph *g = factored_net(), *again = factored_net();
        isg_train_options p = o;
        int left = stop;
        unlink(ckpt);
        unlink(b);
        p.log_csv = b;
        p.checkpoint = ckpt;
        p.resume = 1;
        p.teacher_cache = stop % 2 ? cache : NULL;
        p.progress.cancelled = cancel_when;
        p.progress.user = &left;
        assert_int_equal(train(g, teacher, &p, &report, &err), ISG_E_CANCELLED);
        assert_true(report.steps <= (uint64_t)stop);
        memset(&p.progress, 0, sizeof p.progress);
        if (train(again, teacher, &p, &report, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_string_equal(slurp(a), slurp(b));
        assert_same_weights(whole, again);
        isg_graph_destroy(g);
        isg_graph_destroy(again);
    }
    o.device = "reference";
    o.log_csv = NULL;
    if (train(whole, teacher, &o, &report, &err) != ISG_OK) fail_msg("%s", err.message);
    isg_graph_destroy(teacher);
    isg_graph_destroy(whole);
}

typedef struct views_watch {
    int left;       /* questions until the run is stopped; below 0: never */
    uint64_t first; /* what the teacher reports first */
    uint64_t total;
} views_watch;

static int cancel_views(void *user)
{
    views_watch *w = user;
    return w->left >= 0 && w->left-- == 0;
}

static void watch_views(void *user, const char *stage, uint64_t done, uint64_t total, const char *text)
{
    views_watch *w = user;
    (void)text;
    if (strcmp(stage, "teacher") != 0 || w->first) return;
    w->first = done;
    w->total = total;
}

static void assert_same_file(const char *a, const char *b)
{
    isg_file x, y;
    assert_int_equal(isg_file_open(&x, a, NULL), ISG_OK);
    assert_int_equal(isg_file_open(&y, b, NULL), ISG_OK);
    assert_int_equal(x.size, y.size);
    assert_memory_equal(x.data, y.data, x.size);
    isg_file_close(&x);
    isg_file_close(&y);
}

/* A run that is stopped at any moment before its first step keeps the teacher's whole views, from which the next one
 * goes on; nothing else is left, and the file is that of a run that was never stopped. */
static void test_views_kept(void **state)
{
    isg_graph *teacher = small_net();
    isg_graph *g;
    isg_train_options o = options();
    isg_error err = {0};
    char whole[512], cache[512], ckpt[512];
    views_watch w = {.left = -1};
    int kept = 0;
    (void)state;
    snprintf(whole, sizeof whole, "%s", in_folder("whole"));
    snprintf(cache, sizeof cache, "%s", in_folder("kept"));
    snprintf(ckpt, sizeof ckpt, "%s", in_folder("kept.ckpt"));
    o.max_steps = 1;
    o.flip = 1;
    o.distill_beta = 0.9f;
    o.validation_fraction = 0.2;
    o.teacher_views = 3;
    o.teacher_cache = whole;
    o.progress = (isg_progress){watch_views, cancel_views, &w};
    g = factored_net();
    if (train(g, teacher, &o, NULL, &err) != ISG_OK) fail_msg("%s", err.message);
    isg_graph_destroy(g);
    o.teacher_cache = cache;
    o.checkpoint = ckpt;
    for (int stop = 0;; stop++) {
        unsigned done = 0;
        const char *with;
        g = factored_net();
        unlink(cache);
        w = (views_watch){.left = stop};
        assert_int_equal(train(g, teacher, &o, NULL, &err), ISG_E_CANCELLED);
        if (strstr(err.message, "after step 0")) break;
        assert_non_null(strstr(err.message, "stopped before a step was taken"));
        with = strstr(err.message, ", with ");
        if (with) assert_int_equal(sscanf(with, ", with %u of the teacher's 3 views", &done), 1);
        if (strstr(err.message, "validated")) done = 3;
        assert_int_equal(access(cache, F_OK) == 0, done > 0);
        assert_true(access(ckpt, F_OK) != 0);
        kept += done > 0 && done < 3;
        w = (views_watch){.left = -1};
        if (train(g, teacher, &o, NULL, &err) != ISG_OK) fail_msg("%s", err.message);
        assert_int_equal(w.first, done == 3 ? 0 : w.total / 3 * done + 1);
        assert_same_file(cache, whole);
        unlink(ckpt);
        isg_graph_destroy(g);
    }
    isg_graph_destroy(g);
    assert_true(kept > 2);
    isg_graph_destroy(teacher);
}

/* Pushes what every convolution gives far below zero, so that no Relu lets anything through, as too few factors may. */
static void shut(isg_graph *g)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_tensor *bias;
        if (g->nodes[i].op != ISG_OP_CONV) continue;
        assert_int_equal(g->nodes[i].input_count, 3);
        bias = g->values[g->nodes[i].inputs[2]].constant;
        for (int64_t k = 0; k < bias->count; k++) ((float *)bias->data)[k] = -50.0f;
    }
}

static void test_match_teacher(void **state)
{
    isg_graph *teacher = without_batchnorm(small_net());
    isg_train_options o = options();
    isg_train_report r;
    isg_error err = {0};
    (void)state;
    o.renormalise = 1;
    o.epochs = 60;
    o.learning_rate = 5e-3f;
    o.match_teacher = 1;
    assert_int_equal(train(teacher, NULL, &o, &r, &err), ISG_E_ARG);
    o.match_teacher = 0;
    if (train(teacher, NULL, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
    assert_true(r.train_accuracy > 0.95);
    for (o.match_teacher = 0; o.match_teacher < 2; o.match_teacher++) {
        isg_graph *student = NULL;
        assert_int_equal(isg_graph_clone(&student, teacher, NULL), ISG_OK);
        shut(student);
        if (train(student, teacher, &o, &r, &err) != ISG_OK) fail_msg("%s", err.message);
        if (o.match_teacher ? r.train_accuracy < 0.9 : r.train_accuracy > 0.3)
            fail_msg("match_teacher %d: accuracy %g", o.match_teacher, r.train_accuracy);
        isg_graph_destroy(student);
    }
    isg_graph_destroy(teacher);
}

static void test_schedules(void **state)
{
    isg_train_options o = options();
    (void)state;
    o.learning_rate = 1;
    o.schedule = ISG_SCHEDULE_COSINE;
    assert_float_equal(isgi_schedule(&o, 0.5, 10, 5), 0.5f, 1e-6f);
    assert_float_equal(isgi_schedule(&o, 1, 10, 5), 0.0f, 1e-6f);
    o.schedule = ISG_SCHEDULE_EXPONENTIAL;
    assert_float_equal(isgi_schedule(&o, 0.35, 10, 5), 0.98f * 0.98f * 0.98f, 1e-6f);
    o.schedule = ISG_SCHEDULE_ONECYCLE;
    assert_float_equal(isgi_schedule(&o, 0, 10, 5), 0.04f, 1e-6f);
    assert_float_equal(isgi_schedule(&o, 0.3, 10, 5), 1.0f, 1e-6f);
    o.schedule = ISG_SCHEDULE_CONSTANT;
    o.warmup_steps = 4;
    assert_float_equal(isgi_schedule(&o, 0, 10, 1), 0.5f, 1e-6f);
    assert_float_equal(isgi_schedule(&o, 0, 10, 4), 1.0f, 1e-6f);
}

static void test_architectures(void **state)
{
    (void)state;
    for (const char *const *name = isg_arch_names(); *name; name++) {
        isg_graph *g = NULL;
        isgi_net *net = NULL;
        const isgi_net_options o = {.batch = 2};
        isg_error err = {0};
        size_t params = 0;
        if (isg_arch_build(&g, *name, 3, 32, 32, 10, 1, &err) != ISG_OK) fail_msg("%s: %s", *name, err.message);
        assert_int_equal(isg_graph_validate(g, &err), ISG_OK);
        if (isgi_net_create(&net, g, &o, &err) != ISG_OK) fail_msg("%s: %s", *name, err.message);
        for (int32_t i = 0; i < net->param_count; i++) params += net->param_list[i].count;
        /* SPEC section 9: the last layer has no bias */
        if (strcmp(*name, "resnet18") == 0) assert_int_equal(params, 11173952);
        isgi_net_destroy(net);
        isg_graph_destroy(g);
    }
    {
        isg_graph *g = NULL;
        assert_int_equal(isg_arch_build(&g, "nonesuch", 3, 32, 32, 10, 1, NULL), ISG_E_ARG);
        assert_int_equal(isg_arch_build(&g, "fig5a", 1, 4, 4, 10, 1, NULL), ISG_E_SHAPE);
        assert_null(g);
    }
}

/* Every allocation of compiling and of a run fails once: an error, no crash, nothing lost. */
static void test_out_of_memory(void **state)
{
    isg_graph *g = factored_net();
    isg_train_options o = options();
    uint64_t total;
    (void)state;
    o.max_steps = 1;
    isgi_alloc_fail_at(0);
    assert_int_equal(train(g, NULL, &o, NULL, NULL), ISG_OK);
    total = isgi_alloc_fail_at(0);
    for (uint64_t n = 1; n <= total; n += 1 + n / 16) {
        isg_dataset *ds = open_set();
        const isg_input_spec in = unit_input();
        isg_error err = {0};
        isgi_alloc_fail_at(n);
        if (isg_train(g, NULL, ds, &in, 0, &o, NULL, &err) != ISG_OK) assert_int_equal(err.status, ISG_E_NOMEM);
        isgi_alloc_fail_at(0);
        isg_dataset_close(ds);
    }
    isg_graph_destroy(g);
}

static volatile sig_atomic_t signals, signals_off_stack;
static pthread_t signal_thread;
static uintptr_t stack_place;

/* Held back here, a signal may go to a thread of a library, on a stack of its own. */
static void note_signal(int number)
{
    const uintptr_t frame = (uintptr_t)__builtin_frame_address(0);
    const uintptr_t away = frame < stack_place ? stack_place - frame : frame - stack_place;
    (void)number;
    signals++;
    if (pthread_equal(pthread_self(), signal_thread) && away > (uintptr_t)1 << 20) signals_off_stack++;
}

/* A signal in the middle of a product is handled on the thread's own stack, never on one that a kernel made. */
static void test_signals(void **state)
{
    const int m = 256, n = 256, k = 256; /* oneDNN 2.6 takes the heap for its stack here */
    float *a = isgi_calloc((size_t)m * (size_t)k, sizeof *a), *b = isgi_calloc((size_t)k * (size_t)n, sizeof *b);
    float *c = isgi_calloc((size_t)m * (size_t)n, sizeof *c);
    struct itimerval tick = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    struct sigaction action, old;
    (void)state;
    assert_true(a && b && c);
    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    sigemptyset(&action.sa_mask);
    stack_place = (uintptr_t)__builtin_frame_address(0);
    signal_thread = pthread_self();
    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &tick, NULL), 0);
    for (int i = 0; i < 100000 && signals < 200 && !signals_off_stack; i++) {
        const int turned = i & 1;
        assert_int_equal(isgi_dnn_sgemm(turned ? 'T' : 'N', 'N', m, n, k, 1.0f, a, turned ? m : k, b, n, 0.0f, c, n),
                         dnnl_success);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
    assert_int_equal(signals_off_stack, 0);
    isg_free(a);
    isg_free(b);
    isg_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_overfit),
                                       cmocka_unit_test(test_deterministic),
                                       cmocka_unit_test(test_resume),
                                       cmocka_unit_test(test_nan),
                                       cmocka_unit_test(test_checkpoint_refused),
                                       cmocka_unit_test(test_shared_constants),
                                       cmocka_unit_test(test_factors),
                                       cmocka_unit_test(test_renormalise),
                                       cmocka_unit_test(test_project),
                                       cmocka_unit_test(test_distill),
                                       cmocka_unit_test(test_views),
                                       cmocka_unit_test(test_views_resume),
                                       cmocka_unit_test(test_views_kept),
                                       cmocka_unit_test(test_match_teacher),
                                       cmocka_unit_test(test_schedules),
                                       cmocka_unit_test(test_signals),
                                       cmocka_unit_test(test_architectures),
                                       cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, make_set, clean_folder);
}
