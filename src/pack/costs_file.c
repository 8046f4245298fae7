/* SPDX-License-Identifier: Apache-2.0 */
/* Measured unit costs in a file of the user's cache, one a kind of CPU, instruction set and version. */
#include <insitu/costs.h>
#include <insitu/host.h>
#include <insitu/version.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cpu/cpu.h"
#include "host/cache.h"
#include "pack/isa.h"

#define FORM 1 /* of the file and of what is measured: raise it when either changes */
#define KEY_BYTES 1200
#define MOST 1000000000ul

/* The numbers of the file in the order in which they are written. */
static const struct {
    const char *name;
    size_t at;
} fields[] = {
    {"panel", offsetof(isg_rt_costs, panel)},         {"gemm", offsetof(isg_rt_costs, gemm)},
    {"weight", offsetof(isg_rt_costs, weight)},       {"taps", offsetof(isg_rt_costs, taps)},
    {"compose", offsetof(isg_rt_costs, compose)},     {"gather", offsetof(isg_rt_costs, gather)},
    {"unpack", offsetof(isg_rt_costs, unpack)},       {"stream", offsetof(isg_rt_costs, stream)},
    {"cache", offsetof(isg_rt_costs, cache)},         {"gemm_int8", offsetof(isg_rt_costs, gemm_int8)},
    {"taps_int8", offsetof(isg_rt_costs, taps_int8)}, {"pass_int8", offsetof(isg_rt_costs, pass_int8)},
};
#define FIELDS (sizeof fields / sizeof fields[0])

/* The file's first lines: what its numbers hold for. */
static size_t make_key(char key[KEY_BYTES], uint32_t isa_mask)
{
    char cpu[1024];
    isgi_cpu_description(cpu, sizeof cpu, "/proc/cpuinfo");
    return (size_t)snprintf(key, KEY_BYTES, "insitu costs %d\ncpu%s\nisa %s\nversion %s\n", FORM, cpu,
                            isgi_cpu_isa_name(isgi_cpu_effective_isa(isa_mask)), ISG_VERSION_STRING);
}

/* Several machines may share one home. */
static int make_path(char path[PATH_MAX], const char *key, size_t bytes, int make)
{
    uint8_t digest[32];
    char name[48];
    isg_sha256(digest, key, bytes);
    snprintf(name, sizeof name, "costs-%02x%02x%02x%02x%02x%02x.txt", digest[0], digest[1], digest[2], digest[3],
             digest[4], digest[5]);
    return isgi_cache_path(path, PATH_MAX, name, make);
}

/* All of `name VALUE` lines, in order, each in range: else the file is not used. */
static int read_numbers(isg_rt_costs *costs, const char *text)
{
    memset(costs, 0, sizeof *costs);
    costs->struct_size = sizeof *costs;
    for (size_t i = 0; i < FIELDS; i++) {
        const size_t n = strlen(fields[i].name);
        unsigned long value = 0;
        uint32_t number;
        if (strncmp(text, fields[i].name, n) != 0 || text[n] != ' ') return 0;
        for (text += n + 1; *text >= '0' && *text <= '9' && value <= MOST; text++)
            value = value * 10 + (unsigned long)(*text - '0');
        if (value < 1 || value > MOST || *text++ != '\n') return 0;
        number = (uint32_t)value;
        memcpy((char *)costs + fields[i].at, &number, sizeof number);
    }
    return *text == '\0';
}

static int load(isg_rt_costs *costs, const char *path, const char *key, size_t bytes)
{
    char text[2 * KEY_BYTES];
    isg_file file;
    int good = 0;
    if (isg_file_open(&file, path, NULL) != ISG_OK) return 0;
    if (file.size > bytes && file.size < sizeof text && memcmp(file.data, key, bytes) == 0) {
        memcpy(text, (const char *)file.data + bytes, file.size - bytes);
        text[file.size - bytes] = '\0';
        good = read_numbers(costs, text);
    }
    isg_file_close(&file);
    return good;
}

static void keep(const isg_rt_costs *costs, const char *path, const char *key, size_t bytes)
{
    char text[2 * KEY_BYTES];
    size_t n = bytes;
    memcpy(text, key, bytes);
    for (size_t i = 0; i < FIELDS; i++) {
        uint32_t number;
        memcpy(&number, (const char *)costs + fields[i].at, sizeof number);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s %lu\n", fields[i].name, (unsigned long)number);
    }
    if (isg_write_file(path, text, n, NULL) != ISG_OK) return; /* the next run measures again */
}

isg_status isg_costs_load(isg_rt_costs *costs, uint32_t isa_mask, int again, int *measured, isg_error *err)
{
    char key[KEY_BYTES], path[PATH_MAX];
    size_t bytes;
    int place;
    ISGI_TRY(isgi_isa_from_environment(&isa_mask, err));
    bytes = make_key(key, isa_mask);
    place = make_path(path, key, bytes, 0);
    if (measured) *measured = 0;
    if (!again && place && load(costs, path, key, bytes)) return ISG_OK;
    ISGI_TRY(isg_costs_measure(costs, isa_mask, err));
    if (measured) *measured = 1;
    if (make_path(path, key, bytes, 1)) keep(costs, path, key, bytes);
    return ISG_OK;
}
