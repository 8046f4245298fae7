/* SPDX-License-Identifier: Apache-2.0 */
/* Datasets and the input contract: text form, layouts, preprocessing, labels, damaged files, failing allocations. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <dirent.h>
#include <ftw.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <insitu/data.h>
#include <insitu/host.h>
#include <zlib.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

static char scratch[256];

static const char *scratch_path(const char *name)
{
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", scratch, name);
    return path[turn];
}

static void write_bytes(const char *name, const void *data, size_t n)
{
    assert_int_equal(isg_write_file(scratch_path(name), data, n, NULL), ISG_OK);
}

static void test_spec_presets(void **state)
{
    isg_input_spec spec = {0};
    isg_error err;
    (void)state;
    spec.channels = 3;
    assert_int_equal(isg_input_spec_parse(&spec, "torchvision,resize=256,crop=224,order=bgr,layout=nhwc", &err),
                     ISG_OK);
    assert_int_equal(spec.channels, 3);
    assert_true(spec.given && spec.bgr && spec.nhwc && !spec.identity);
    assert_int_equal(spec.resize, 256);
    assert_int_equal(spec.crop, 224);
    assert_true(spec.scale == 1.0f / 255.0f && spec.mean[1] == 0.456f && spec.std[2] == 0.225f);
    assert_int_equal(isg_input_spec_parse(&spec, "unit,mean=.4914:.4822/.4465,std=.5", &err), ISG_OK);
    assert_true(spec.mean[0] == .4914f && spec.mean[1] == .4822f && spec.mean[2] == .4465f && spec.std[2] == .5f);
    assert_true(!spec.bgr && spec.resize == 0);
    assert_int_equal(isg_input_spec_parse(&spec, "tf", &err), ISG_OK);
    assert_true(spec.mean[0] == 1.0f && fabsf(255.0f * spec.scale - 2.0f) < 1e-6f);
}

static void test_spec_keys_alone(void **state)
{
    isg_input_spec spec = {0};
    (void)state;
    assert_int_equal(isg_input_spec_parse(&spec, "resize=40", NULL), ISG_OK); /* nothing is there: raw */
    assert_true(spec.scale == 1.0f && spec.std[0] == 1.0f && spec.resize == 40);
    assert_int_equal(isg_input_spec_parse(&spec, "unit,mean=.3,std=.4", NULL), ISG_OK);
    assert_int_equal(isg_input_spec_parse(&spec, "resize=28,order=bgr", NULL), ISG_OK);
    assert_true(spec.scale == 1.0f / 255.0f && spec.mean[0] == .3f && spec.std[2] == .4f);
    assert_true(spec.resize == 28 && spec.bgr);
    assert_int_equal(isg_input_spec_parse(&spec, "raw,crop=8", NULL), ISG_OK);
    assert_true(spec.scale == 1.0f && spec.mean[0] == 0.0f && spec.resize == 0 && spec.crop == 8 && !spec.bgr);
}

static void test_spec_round_trip(void **state)
{
    static const char *const texts[] = {"raw",
                                        "unit",
                                        "tf",
                                        "torchvision,crop=32",
                                        "identity,layout=nhwc",
                                        "scale=0.017,mean=1:2:3,std=4:5:6,order=bgr,resize=300"};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof texts / sizeof *texts; i++) {
        isg_input_spec a = {0}, b = {0};
        char line[512];
        assert_int_equal(isg_input_spec_parse(&a, texts[i], NULL), ISG_OK);
        assert_true(isg_input_spec_format(line, sizeof line, &a) < (int)sizeof line);
        assert_int_equal(isg_input_spec_parse(&b, line, NULL), ISG_OK);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void test_spec_rejects(void **state)
{
    static const char *const bad[] = {
        "",        "nonsense",  "mean=",   "mean=1:x",           "mean=1:2:3:4:5", "std=0",
        "scale=0", "scale=1:2", "crop=-1", "crop=12px",          "order=gbr",      "layout=x",
        "raw,",    "mean=inf",  "std=nan", "resize=99999999999", "key=1"};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        isg_input_spec spec = {0}, before = spec;
        isg_error err;
        assert_int_equal(isg_input_spec_parse(&spec, bad[i], &err), ISG_E_ARG);
        assert_memory_equal(&spec, &before, sizeof spec);
        assert_true(strlen(err.message) > 0);
    }
}

static void test_contract_values(void **state)
{
    const uint8_t rgb[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; /* 2x2 */
    isg_input_spec spec = {0};
    float out[12];
    int i;
    (void)state;
    assert_int_equal(isg_input_spec_parse(&spec, "scale=2,mean=1:2:3,std=2", NULL), ISG_OK);
    assert_int_equal(isgi_contract_pixels(out, rgb, 3, 2, 2, &spec, "t", NULL), ISG_OK);
    for (i = 0; i < 4; i++) {
        assert_true(out[i] == (float)(2 * rgb[3 * i] - 1) / 2);
        assert_true(out[4 + i] == (float)(2 * rgb[3 * i + 1] - 2) / 2);
        assert_true(out[8 + i] == (float)(2 * rgb[3 * i + 2] - 3) / 2);
    }
    assert_int_equal(isg_input_spec_parse(&spec, "raw,order=bgr,layout=nhwc", NULL), ISG_OK);
    assert_int_equal(isgi_contract_pixels(out, rgb, 3, 2, 2, &spec, "t", NULL), ISG_OK);
    for (i = 0; i < 12; i++) assert_true(out[i] == (float)rgb[i / 3 * 3 + 2 - i % 3]);
}

static void test_contract_channels(void **state)
{
    const uint8_t grey[2] = {10, 200}, rgb[6] = {255, 0, 0, 0, 255, 0};
    isg_input_spec spec = {0};
    float out[6];
    (void)state;
    spec.channels = 3;
    assert_int_equal(isgi_contract_pixels(out, grey, 1, 1, 2, &spec, "t", NULL), ISG_OK);
    assert_true(out[0] == 10 && out[2] == 10 && out[4] == 10 && out[5] == 200);
    spec.channels = 1;
    assert_int_equal(isgi_contract_pixels(out, rgb, 3, 1, 2, &spec, "t", NULL), ISG_OK);
    assert_true(out[0] == 76 && out[1] == 150); /* ITU-R 601 */
    spec.channels = 2;
    assert_int_equal(isgi_contract_pixels(out, rgb, 3, 1, 2, &spec, "t", NULL), ISG_E_SHAPE);
    spec.channels = 3;
    spec.height = 4;
    assert_int_equal(isgi_contract_pixels(out, rgb, 3, 1, 2, &spec, "t", NULL), ISG_E_SHAPE);
}

static void test_contract_crop(void **state)
{
    uint8_t grey[5 * 7];
    isg_input_spec spec = {0};
    float out[9];
    int i;
    (void)state;
    for (i = 0; i < 35; i++) grey[i] = (uint8_t)i;
    spec.crop = 3;
    assert_int_equal(isgi_contract_pixels(out, grey, 1, 5, 7, &spec, "t", NULL), ISG_OK);
    for (i = 0; i < 9; i++) assert_true(out[i] == (float)grey[(1 + i / 3) * 7 + 2 + i % 3]);
    spec.crop = 6;
    assert_int_equal(isgi_contract_pixels(out, grey, 1, 5, 7, &spec, "t", NULL), ISG_E_SHAPE);
}

static void test_resize_known(void **state)
{
    const uint8_t row[4] = {0, 100, 200, 40};
    uint8_t *out = NULL;
    (void)state;
    /* Halving: triangle of radius 2 about 1.0 weighs pixels 0..2 by .75 .75 .25 (normalised over 1.75). */
    assert_int_equal(isgi_resize_pixels(&out, row, 1, 1, 4, 1, 2, NULL), ISG_OK);
    assert_int_equal(out[0], 71);  /* (0*.75 + 100*.75 + 200*.25) / 1.75 = 71.43 */
    assert_int_equal(out[1], 117); /* (100*.25 + 200*.75 + 40*.75) / 1.75 = 117.1 */
    isg_free(out);
    /* Doubling is plain bilinear: 0 25 75 125 175 160 80 40. */
    assert_int_equal(isgi_resize_pixels(&out, row, 1, 1, 4, 1, 8, NULL), ISG_OK);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 25);
    assert_int_equal(out[2], 75);
    assert_int_equal(out[4], 175);
    assert_int_equal(out[5], 160);
    assert_int_equal(out[7], 40);
    isg_free(out);
}

static void test_resize_constant(void **state)
{
    uint8_t flat[13 * 17 * 3], *out = NULL;
    uint32_t h, w;
    size_t i;
    (void)state;
    memset(flat, 77, sizeof flat);
    for (h = 1; h < 40; h += 5)
        for (w = 1; w < 40; w += 7) {
            assert_int_equal(isgi_resize_pixels(&out, flat, 3, 13, 17, h, w, NULL), ISG_OK);
            for (i = 0; i < (size_t)h * w * 3; i++) assert_int_equal(out[i], 77);
            isg_free(out);
        }
}

static void test_cifar(void **state)
{
    static uint8_t bytes[2 * 3073];
    isg_dataset *ds = NULL;
    isg_error err;
    float out[3072];
    int i;
    char spec[300];
    (void)state;
    for (i = 0; i < 3072; i++) bytes[3073 + 1 + i] = (uint8_t)(i * 7);
    bytes[0] = 9;
    bytes[3073] = 3;
    mkdir(scratch_path("c10"), 0700);
    write_bytes("c10/test_batch.bin", bytes, sizeof bytes);
    snprintf(spec, sizeof spec, "cifar10:%s", scratch_path("c10"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_OK);
    assert_int_equal(isg_dataset_count(ds), 2);
    assert_int_equal(isg_dataset_classes(ds), 10);
    assert_int_equal(isg_dataset_label(ds, 1), 3);
    assert_string_equal(isg_dataset_class_name(ds, 3), "cat");
    assert_null(isg_dataset_class_name(ds, 10));
    assert_int_equal(isg_dataset_load(ds, 1, NULL, out, &err), ISG_OK);
    for (i = 0; i < 3072; i++) assert_true(out[i] == (float)bytes[3074 + i]);
    assert_int_equal(isg_dataset_pixels(ds, 1)[3 * 5 + 2], bytes[3074 + 2048 + 5]);
    assert_int_equal(isg_dataset_load(ds, 2, NULL, out, &err), ISG_E_ARG);
    isg_dataset_close(ds);
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TRAIN, &err), ISG_E_IO);
    bytes[0] = 10;
    write_bytes("c10/test_batch.bin", bytes, sizeof bytes);
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_E_FORMAT);
    assert_non_null(strstr(err.message, "test_batch.bin"));
    write_bytes("c10/test.bin", bytes, sizeof bytes - 1);
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_E_FORMAT);
    assert_null(ds);
}

static void test_cifar100(void **state)
{
    static uint8_t bytes[3074];
    isg_dataset *ds = NULL;
    char spec[300];
    (void)state;
    bytes[0] = 19; /* coarse */
    bytes[1] = 99; /* fine */
    mkdir(scratch_path("c100"), 0700);
    write_bytes("c100/train.bin", bytes, sizeof bytes);
    snprintf(spec, sizeof spec, "cifar100:%s", scratch_path("c100"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TRAIN, NULL), ISG_OK);
    assert_int_equal(isg_dataset_label(ds, 0), 99);
    assert_int_equal(isg_dataset_classes(ds), 100);
    isg_dataset_close(ds);
}

static size_t gzip_bytes(uint8_t *dst, size_t size, const uint8_t *src, size_t n)
{
    z_stream z;
    memset(&z, 0, sizeof z);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)src;
    z.avail_in = (uInt)n;
    z.next_out = dst;
    z.avail_out = (uInt)size;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    n = size - z.avail_out;
    deflateEnd(&z);
    return n;
}

static void test_idx(void **state)
{
    uint8_t x[16 + 12] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3}, y[10] = {0, 0, 8, 1, 0, 0, 0, 2, 4, 6};
    uint8_t packed[256];
    isg_dataset *ds = NULL;
    isg_error err;
    float out[6];
    char spec[300];
    size_t n, k;
    int i;
    (void)state;
    for (i = 0; i < 12; i++) x[16 + i] = (uint8_t)(20 * i);
    mkdir(scratch_path("idx"), 0700);
    n = gzip_bytes(packed, sizeof packed, x, sizeof x);
    write_bytes("idx/t10k-images-idx3-ubyte.gz", packed, n);
    write_bytes("idx/t10k-labels-idx1-ubyte", y, sizeof y);
    snprintf(spec, sizeof spec, "idx:%s", scratch_path("idx"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_OK);
    assert_int_equal(isg_dataset_classes(ds), 7);
    assert_int_equal(isg_dataset_label(ds, 1), 6);
    assert_int_equal(isg_dataset_load(ds, 1, NULL, out, &err), ISG_OK);
    for (i = 0; i < 6; i++) assert_true(out[i] == (float)x[22 + i]);
    isg_dataset_close(ds);
    for (k = 0; k < n; k++) { /* truncation at every byte */
        write_bytes("idx/t10k-images-idx3-ubyte.gz", packed, k);
        assert_int_not_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_OK);
        assert_null(ds);
    }
    for (k = 0; k <= sizeof x + 1; k++) { /* plain: too short and too long */
        uint8_t more[sizeof x + 1] = {0};
        isgi_idx_view view;
        uint8_t *owned;
        isg_status status;
        memcpy(more, x, sizeof x);
        if (k > sizeof more) break;
        status = isgi_idx_parse(&view, &owned, more, k, "x", &err);
        assert_int_equal(status == ISG_OK, k == sizeof x);
    }
}

static void test_idx_gzip_lies(void **state)
{
    uint8_t x[16 + 4] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2}, packed[256], *owned = NULL;
    isgi_idx_view view;
    isg_error err;
    size_t n;
    (void)state;
    x[7] = 2; /* claims 8 bytes, holds 4 */
    n = gzip_bytes(packed, sizeof packed, x, sizeof x);
    assert_int_equal(isgi_idx_parse(&view, &owned, packed, n, "x", &err), ISG_E_FORMAT);
    x[7] = 0; /* claims none */
    n = gzip_bytes(packed, sizeof packed, x, sizeof x);
    assert_int_equal(isgi_idx_parse(&view, &owned, packed, n, "x", &err), ISG_E_FORMAT);
    x[4] = 0x7f; /* claims gigabytes: refused before allocation */
    n = gzip_bytes(packed, sizeof packed, x, sizeof x);
    isgi_alloc_fail_at(0);
    assert_int_equal(isgi_idx_parse(&view, &owned, packed, n, "x", &err), ISG_E_FORMAT);
    assert_int_equal(isgi_alloc_fail_at(0), 0);
    x[2] = 9; /* signed bytes */
    n = gzip_bytes(packed, sizeof packed, x, sizeof x);
    assert_int_equal(isgi_idx_parse(&view, &owned, packed, n, "x", &err), ISG_E_UNSUPPORTED);
    assert_null(owned);
}

static void test_npy_round_trip(void **state)
{
    float data[24], *back = NULL;
    int64_t dims[8] = {2, 3, 4}, got[8];
    int32_t rank, r, i;
    (void)state;
    for (i = 0; i < 24; i++) data[i] = (float)i * 0.37f - 3.0f;
    for (r = 0; r <= 3; r++) {
        int64_t n = 1;
        for (i = 0; i < r; i++) n *= dims[i];
        assert_int_equal(isg_npy_write(scratch_path("a.npy"), data, r, dims, NULL), ISG_OK);
        assert_int_equal(isg_npy_read(scratch_path("a.npy"), &back, &rank, got, NULL), ISG_OK);
        assert_int_equal(rank, r);
        for (i = 0; i < r; i++) assert_int_equal(got[i], dims[i]);
        assert_memory_equal(back, data, (size_t)n * sizeof(float));
        isg_free(back);
    }
}

static size_t npy_make(uint8_t *dst, const char *header, const void *data, size_t n)
{
    size_t h = strlen(header);
    memcpy(dst, "\x93NUMPY\x01\x00", 8);
    dst[8] = (uint8_t)h;
    dst[9] = (uint8_t)(h >> 8);
    memcpy(dst + 10, header, h);
    memcpy(dst + 10 + h, data, n);
    return 10 + h + n;
}

static void test_npy_types(void **state)
{
    static const uint8_t i4[8] = {0xfe, 0xff, 0xff, 0xff, 5, 0, 0, 0}, i1[2] = {0x80, 127};
    static const uint8_t i8[16] = {7, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const double f8[2] = {0.5, -2.0};
    uint8_t file[512];
    isgi_npy_view v;
    float out[2];
    int32_t label;
    size_t n;
    (void)state;
    n = npy_make(file, "{'shape': (2,), 'descr': '<i4', 'fortran_order': False}\n", i4, sizeof i4);
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_OK);
    isgi_npy_floats(out, &v, 0, 2);
    assert_true(out[0] == -2.0f && out[1] == 5.0f);
    assert_int_equal(isgi_npy_label(&label, &v, 0, "x", NULL), ISG_E_FORMAT);
    assert_int_equal(isgi_npy_label(&label, &v, 1, "x", NULL), ISG_OK);
    assert_int_equal(label, 5);
    n = npy_make(file, "{'descr': '|i1', 'fortran_order': False, 'shape': (2,), }", i1, sizeof i1);
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_OK);
    isgi_npy_floats(out, &v, 0, 2);
    assert_true(out[0] == -128.0f && out[1] == 127.0f);
    n = npy_make(file, "{'descr': '<i8', 'fortran_order': False, 'shape': (1, 2), }", i8, sizeof i8);
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_OK);
    isgi_npy_floats(out, &v, 0, 2);
    assert_true(out[0] == 7.0f && out[1] == -1.0f);
    n = npy_make(file, "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}", f8, sizeof f8);
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_OK);
    assert_int_equal(isgi_npy_label(&label, &v, 0, "x", NULL), ISG_E_FORMAT);
    isgi_npy_floats(out, &v, 0, 2);
    assert_true(out[0] == 0.5f && out[1] == -2.0f);
}

static void test_npy_rejects(void **state)
{
    static const struct {
        const char *header;
        isg_status status;
    } bad[] = {
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", ISG_E_UNSUPPORTED},
        {"{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", ISG_E_UNSUPPORTED},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", ISG_E_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", ISG_E_UNSUPPORTED},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905, 1), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", ISG_E_FORMAT},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", ISG_E_FORMAT},
        {"{'descr': '<f4", ISG_E_FORMAT},
        {"", ISG_E_FORMAT},
    };
    const float one = 1.0f;
    uint8_t file[512];
    isgi_npy_view v;
    size_t i, n, k;
    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        n = npy_make(file, bad[i].header, &one, sizeof one);
        assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), bad[i].status);
    }
    n = npy_make(file, "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", &one, sizeof one);
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_OK);
    for (k = 0; k < n; k++) assert_int_not_equal(isgi_npy_parse(&v, file, k, "x", NULL), ISG_OK);
    file[6] = 4;
    assert_int_equal(isgi_npy_parse(&v, file, n, "x", NULL), ISG_E_VERSION);
}

static void test_npy_set(void **state)
{
    const float x[8] = {1, 2, 3, 4, 5, 6, 7, 8}, y[2] = {1, 0}, wrong[3] = {0, 1, 2};
    const int64_t xd[4] = {2, 1, 2, 2}, yd[1] = {2}, wd[1] = {3};
    isg_input_spec input = {0};
    isg_dataset *ds = NULL;
    isg_error err;
    float out[4];
    uint32_t c, h, w;
    int is_float;
    char spec[700];
    (void)state;
    assert_int_equal(isg_npy_write(scratch_path("x.npy"), x, 4, xd, NULL), ISG_OK);
    assert_int_equal(isg_npy_write(scratch_path("y.npy"), y, 1, yd, NULL), ISG_OK);
    assert_int_equal(isg_npy_write(scratch_path("w.npy"), wrong, 1, wd, NULL), ISG_OK);
    snprintf(spec, sizeof spec, "npy:%s,%s", scratch_path("x.npy"), scratch_path("y.npy"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_OK);
    isg_dataset_shape(ds, &c, &h, &w, &is_float);
    assert_true(c == 1 && h == 2 && w == 2 && is_float);
    assert_true(isg_dataset_label(ds, 0) == 1 && isg_dataset_classes(ds) == 2);
    assert_int_equal(isg_input_spec_parse(&input, "scale=10,mean=5", NULL), ISG_OK);
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_OK);
    assert_true(out[0] == 45.0f && out[3] == 75.0f);
    input.identity = 1;
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_OK);
    assert_true(out[0] == 5.0f);
    input.channels = 1;
    input.height = input.width = 3;
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_E_SHAPE);
    assert_string_equal(err.message, "array items have 4 numbers, the network takes 1x3x3 (arrays are not resized or "
                                     "cropped)");
    input.channels = 0; /* the array's own */
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_E_SHAPE);
    input.channels = 1;
    input.height = input.width = 0;
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_OK);
    input.nhwc = 1;
    input.channels = 0;
    input.height = 1;
    assert_int_equal(isg_dataset_load(ds, 1, &input, out, &err), ISG_OK);
    isg_dataset_close(ds);
    snprintf(spec, sizeof spec, "npy:%s,%s", scratch_path("x.npy"), scratch_path("w.npy"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_E_FORMAT);
    snprintf(spec, sizeof spec, "npy:%s", scratch_path("x.npy"));
    assert_int_equal(isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, &err), ISG_OK);
    assert_false(isg_dataset_has_labels(ds));
    assert_int_equal(isg_dataset_label(ds, 0), -1);
    isg_dataset_close(ds);
}

static void test_decimal_comma(void **state)
{
    isg_input_spec spec = {0}, again = {0};
    char text[256];
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        print_message("no locale de_DE.UTF-8 here: skipped\n");
        skip();
    }
    assert_int_equal(isg_input_spec_parse(&spec, "scale=0.5,mean=0.25:0.5", NULL), ISG_OK);
    assert_true(isg_input_spec_format(text, sizeof text, &spec) > 0);
    assert_non_null(strstr(text, "scale=0.5,mean=0.25:0.5"));
    assert_int_equal(isg_input_spec_parse(&again, text, NULL), ISG_OK);
    assert_true(again.scale == 0.5f);
    snprintf(text, sizeof text, "%.1f", 0.5); /* the program's own locale is as it was */
    assert_string_equal(text, "0,5");
    setlocale(LC_NUMERIC, "C");
}

static void test_bad_specs(void **state)
{
    static const struct {
        const char *spec;
        isg_status status;
    } bad[] = {{"", ISG_E_ARG},
               {"cifar10", ISG_E_ARG},
               {"cifar10:", ISG_E_ARG},
               {"mnist:x", ISG_E_ARG},
               {"cifar10:/nonexistent", ISG_E_IO},
               {"cifar100:/nonexistent", ISG_E_IO},
               {"idx:/nonexistent", ISG_E_IO},
               {"folder:/nonexistent", ISG_E_IO},
               {"npy:/nonexistent.npy", ISG_E_IO}};
    size_t i;
    (void)state;
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        isg_dataset *ds = NULL;
        assert_int_equal(isg_dataset_open(&ds, bad[i].spec, ISG_SPLIT_TEST, NULL), bad[i].status);
        assert_null(ds);
    }
}

/* Every allocation of opening an idx set fails once; nothing may leak (seen under a sanitizer) or crash. */
static void test_allocation_failures(void **state)
{
    uint8_t x[17] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 9}, y[9] = {0, 0, 8, 1, 0, 0, 0, 1, 2};
    char spec[300];
    uint64_t n;
    isg_dataset *ds = NULL;
    (void)state;
    mkdir(scratch_path("oom"), 0700);
    write_bytes("oom/t10k-images-idx3-ubyte", x, sizeof x);
    write_bytes("oom/t10k-labels-idx1-ubyte", y, sizeof y);
    snprintf(spec, sizeof spec, "idx:%s", scratch_path("oom"));
    for (n = 1; n < 1000; n++) {
        isg_status status;
        isgi_alloc_fail_at(n);
        status = isg_dataset_open(&ds, spec, ISG_SPLIT_TEST, NULL);
        isgi_alloc_fail_at(0);
        if (status == ISG_OK) break;
        assert_null(ds);
    }
    assert_true(n > 3 && n < 1000);
    isg_dataset_close(ds);
}

static int exit_code_of(isg_status status)
{
    return status == ISG_E_FORMAT || status == ISG_E_VERSION ? 4 : status == ISG_E_UNSUPPORTED ? 3 : status ? 1 : 0;
}

static isg_status read_bad(const char *kind, const isg_file *file, const char *name)
{
    isgi_npy_view view;
    uint8_t *pixels = NULL;
    uint32_t width, height;
    isg_error err = {0};
    isg_status status = !strcmp(kind, "npy")
                            ? isgi_npy_parse(&view, file->data, file->size, name, &err)
                            : isg_image_decode(file->data, file->size, 0, &pixels, &width, &height, &err);
    isg_free(pixels);
    assert_true(status == ISG_OK || (err.message[0] && !strchr(err.message, '\n')));
    return status;
}

/* Golden bad files: exitN-what, where N is the tool's exit code. */
static void test_bad_files(void **state)
{
    static const char *const kinds[] = {"npy", "image"};
    size_t k;
    (void)state;
    for (k = 0; k < 2; k++) {
        char folder[512], path[1024];
        struct dirent *entry;
        unsigned seen = 0;
        DIR *dir;
        snprintf(folder, sizeof folder, "%s/tests/bad/%s", INSITU_SOURCE_DIR, kinds[k]);
        dir = opendir(folder);
        assert_non_null(dir);
        while ((entry = readdir(dir)) != NULL) {
            isg_file file;
            if (entry->d_name[0] == '.') continue;
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
            assert_int_equal(isg_file_open(&file, path, NULL), ISG_OK);
            assert_int_equal(strncmp(entry->d_name, "exit", 4), 0);
            if (exit_code_of(read_bad(kinds[k], &file, path)) != entry->d_name[4] - '0') fail_msg("%s", path);
            isg_file_close(&file);
            seen++;
        }
        closedir(dir);
        assert_true(seen > 10);
    }
}

static int set_up(void **state)
{
    (void)state;
    snprintf(scratch, sizeof scratch, "%s/test_data.XXXXXX", INSITU_BINARY_DIR);
    return mkdtemp(scratch) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info;
    (void)type;
    (void)where;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    return nftw(scratch, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spec_presets),
        cmocka_unit_test(test_spec_keys_alone),
        cmocka_unit_test(test_spec_round_trip),
        cmocka_unit_test(test_spec_rejects),
        cmocka_unit_test(test_contract_values),
        cmocka_unit_test(test_contract_channels),
        cmocka_unit_test(test_contract_crop),
        cmocka_unit_test(test_resize_known),
        cmocka_unit_test(test_resize_constant),
        cmocka_unit_test(test_cifar),
        cmocka_unit_test(test_cifar100),
        cmocka_unit_test(test_idx),
        cmocka_unit_test(test_idx_gzip_lies),
        cmocka_unit_test(test_npy_round_trip),
        cmocka_unit_test(test_npy_types),
        cmocka_unit_test(test_npy_rejects),
        cmocka_unit_test(test_npy_set),
        cmocka_unit_test(test_bad_specs),
        cmocka_unit_test(test_decimal_comma),
        cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_allocation_failures),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
