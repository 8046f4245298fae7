/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of src/base: half floats, checksum, checked sizes, bit streams, endian access, error records. */
#include <insitu/status.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/error.h"
#include "base/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint64_t seed;

static uint64_t next_random(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed >> 33;
}

/* The value of a half by its definition. */
static double half_exact(uint32_t h)
{
    const int exponent = (int)(h >> 10 & 31u);
    const double mantissa = (double)(h & 1023u), sign = h & 0x8000u ? -1.0 : 1.0;
    if (exponent == 31) return mantissa > 0.0 ? (double)NAN : sign * (double)INFINITY;
    return exponent ? sign * ldexp(1024.0 + mantissa, exponent - 25) : sign * ldexp(mantissa, -24);
}

static void test_half_all(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = isgi_half_to_float((uint16_t)h);
        const uint16_t back = isgi_half_from_float(f);
        if (isnan(half_exact(h))) {
            assert_true(isnan(f));
            assert_true((back & 0x7c00u) == 0x7c00u && (back & 1023u) != 0 && (back & 0x8000u) == (h & 0x8000u));
        } else {
            assert_true((double)f == half_exact(h) && !signbit(f) == !(h & 0x8000u));
            assert_int_equal(back, h);
        }
    }
}

/* Between two neighbours: below, at and above the middle; ties go to the even mantissa. */
static void test_half_rounding(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 0x7bff; h++) {
        const float a = isgi_half_to_float((uint16_t)h), b = isgi_half_to_float((uint16_t)(h + 1));
        const float middle = (float)(((double)a + (double)b) / 2);
        assert_int_equal(isgi_half_from_float(middle), h & 1u ? h + 1 : h);
        assert_int_equal(isgi_half_from_float(nextafterf(middle, a)), h);
        assert_int_equal(isgi_half_from_float(nextafterf(middle, b)), h + 1);
        assert_int_equal(isgi_half_from_float(-middle), (h & 1u ? h + 1 : h) | 0x8000u);
    }
    assert_int_equal(isgi_half_from_float(65519.996f), 0x7bff);
    assert_int_equal(isgi_half_from_float(65520.0f), 0x7c00);
    assert_int_equal(isgi_half_from_float(1e30f), 0x7c00);
    assert_int_equal(isgi_half_from_float(-1e-30f), 0x8000);
    assert_int_equal(isgi_half_from_float(INFINITY), 0x7c00);
}

static uint32_t crc_by_bit(const uint8_t *p, size_t n)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++) crc = crc >> 1 ^ (crc & 1u ? 0x82f63b78u : 0u);
    }
    return ~crc;
}

static void test_crc32c(void **state)
{
    uint8_t data[301];
    uint8_t zeros[32] = {0};
    (void)state;
    assert_int_equal(isgi_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(isgi_crc32c(0, zeros, sizeof zeros), 0x8a9136aau); /* RFC 3720, B.4 */
    assert_int_equal(isgi_crc32c(0, "", 0), 0);
    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)next_random();
    for (size_t n = 0; n <= 290; n++) {
        const size_t at = n % 11, cut = n ? (size_t)next_random() % n : 0;
        const uint32_t want = crc_by_bit(data + at, n);
        assert_int_equal(isgi_crc32c(0, data + at, n), want);
        assert_int_equal(isgi_crc32c(isgi_crc32c(0, data + at, cut), data + at + cut, n - cut), want);
    }
}

static void test_checked(void **state)
{
    int overflow = 0;
    (void)state;
    assert_true(isgi_add_u64(UINT64_MAX - 1, 1, &overflow) == UINT64_MAX && !overflow);
    assert_true(isgi_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &overflow) == UINT64_MAX - UINT32_MAX);
    assert_true(isgi_mul_u64(0, UINT64_MAX, &overflow) == 0 && isgi_mul_u64(UINT64_MAX, 0, &overflow) == 0);
    assert_true(isgi_align_u64(0, 64, &overflow) == 0 && isgi_align_u64(65, 64, &overflow) == 128);
    assert_true(isgi_add_size(SIZE_MAX, 0, &overflow) == SIZE_MAX && isgi_mul_size(SIZE_MAX, 1, &overflow) == SIZE_MAX);
    assert_true(isgi_size_from_u64(SIZE_MAX, &overflow) == SIZE_MAX);
    assert_false(overflow);
    assert_true(isgi_add_u64(UINT64_MAX, 1, &overflow) == UINT64_MAX && overflow);
    assert_true(isgi_add_u64(1, 1, &overflow) == 2 && overflow); /* it stays set */
    overflow = 0;
    assert_true(isgi_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &overflow) == UINT64_MAX && overflow);
    overflow = 0;
    assert_true(isgi_align_u64(UINT64_MAX - 62, 64, &overflow) == UINT64_MAX && overflow);
    overflow = 0;
    assert_true(isgi_add_size(SIZE_MAX, 1, &overflow) == SIZE_MAX && overflow);
    overflow = 0;
    assert_true(isgi_mul_size(SIZE_MAX / 2 + 1, 2, &overflow) == SIZE_MAX && overflow);
}

static void test_bits(void **state)
{
    (void)state;
    for (uint32_t bits = 1; bits <= 32; bits++) {
        uint32_t codes[100];
        uint8_t stream[402];
        isgi_bit_writer writer;
        const size_t bytes = (size_t)isgi_bits_bytes(100, bits);
        memset(stream, 0xa5, sizeof stream);
        isgi_bit_writer_init(&writer, stream, bytes);
        for (int i = 0; i < 100; i++) {
            codes[i] = (uint32_t)(next_random() << 16 ^ next_random());
            isgi_bit_write(&writer, codes[i], bits);
            if (bits < 32) codes[i] &= (1u << bits) - 1u;
        }
        assert_false(writer.overflow);
        assert_int_equal(isgi_bit_writer_finish(&writer), bytes);
        assert_int_equal(stream[bytes], 0xa5);
        for (int i = 0; i < 100; i++) assert_int_equal(isgi_bit_read(stream, bytes, (uint64_t)i, bits), codes[i]);
        assert_int_equal(isgi_bit_read(stream, bytes, 8 * (uint64_t)bytes, bits), 0);
        /* One byte too few: the code that does not fit is refused and the byte behind is untouched. */
        stream[bytes - 1] = 0x5a;
        isgi_bit_writer_init(&writer, stream, bytes - 1);
        for (int i = 0; i < 100; i++) isgi_bit_write(&writer, codes[i], bits);
        assert_true(writer.overflow);
        assert_true(isgi_bit_writer_finish(&writer) < bytes);
        assert_int_equal(stream[bytes - 1], 0x5a);
    }
}

/* The layout itself, not only that reader and writer agree. */
static void test_bits_layout(void **state)
{
    uint8_t stream[2];
    isgi_bit_writer writer;
    (void)state;
    isgi_bit_writer_init(&writer, stream, sizeof stream);
    for (uint32_t code = 1; code <= 4; code++) isgi_bit_write(&writer, code, 3);
    assert_int_equal(isgi_bit_writer_finish(&writer), 2);
    assert_int_equal(stream[0], 0xd1); /* 11 010 001, from the right: 1, 2, low bits of 3 */
    assert_int_equal(stream[1], 0x08); /* 0000 100 0: high bit of 3, then 4 */
    assert_true(isgi_bits_bytes(UINT64_MAX, 8) == UINT64_MAX && isgi_bits_bytes(0, 3) == 0);
    assert_int_equal(isgi_bits_bytes(3, 3), 2);
}

static void test_endian(void **state)
{
    uint8_t p[9];
    (void)state;
    isgi_store_u64(p + 1, UINT64_C(0x0807060504030201));
    for (int i = 1; i < 9; i++) assert_int_equal(p[i], i);
    assert_int_equal(isgi_load_u16(p + 1), 0x0201);
    assert_int_equal(isgi_load_u32(p + 1), 0x04030201);
    assert_true(isgi_load_u64(p + 1) == UINT64_C(0x0807060504030201));
    isgi_store_f32(p + 1, -1.5f);
    assert_int_equal(p[4], 0xbf);
    assert_true(isgi_load_f32(p + 1) == -1.5f);
}

static void test_error(void **state)
{
    isg_error error;
    char text[2 * sizeof error.message];
    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(isgi_error(&error, ISG_E_FORMAT, text, 7, 3), ISG_E_FORMAT);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_true(error.status == ISG_E_FORMAT && error.offset == 7 && error.node == 3);
    assert_int_equal(isgi_error(NULL, ISG_E_ARG, "x", 0, 0), ISG_E_ARG);
    assert_string_equal(isg_status_text((isg_status)12345), "unknown status");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_all), cmocka_unit_test(test_half_rounding), cmocka_unit_test(test_crc32c),
        cmocka_unit_test(test_checked),  cmocka_unit_test(test_bits),          cmocka_unit_test(test_bits_layout),
        cmocka_unit_test(test_endian),   cmocka_unit_test(test_error),
    };
    const char *text = getenv("INSITU_TEST_SEED");
    seed = text ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    printf("INSITU_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
