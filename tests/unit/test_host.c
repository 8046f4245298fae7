/* SPDX-License-Identifier: Apache-2.0 */
/* Files, threads, hashes and random numbers of the host layer. */
#define _XOPEN_SOURCE 700 /* nftw */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs the standard headers above */
#include <cmocka.h>
#include <insitu/host.h>

#include "host/alloc.h"
#include "host/buffer.h"
#include "host/rng.h"
#include "host/system.h"
#include "temp_folder.h"

static unsigned entries(void)
{
    DIR *d = opendir(folder);
    unsigned n = 0;
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e; e = readdir(d)) n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static void assert_content(const char *path, const char *text)
{
    isg_file f;
    assert_int_equal(isg_file_open(&f, path, NULL), ISG_OK);
    assert_int_equal(f.size, strlen(text));
    assert_memory_equal(f.data, text, strlen(text));
    isg_file_close(&f);
}

static void test_open(void **state)
{
    isg_file f;
    isg_error err;
    int pipes[2];
    char name[64];
    (void)state;
    assert_int_equal(isg_file_open(&f, in_folder("missing"), &err), ISG_E_IO);
    assert_non_null(strstr(err.message, strerror(ENOENT)));
    assert_int_equal(isg_file_open(&f, folder, &err), ISG_E_IO);
    assert_non_null(strstr(err.message, "is a folder"));
    assert_int_equal(isg_file_open(&f, "/dev/zero", &err), ISG_E_IO);
    assert_int_equal(isg_write_file(in_folder("empty"), "", 0, NULL), ISG_OK);
    assert_int_equal(isg_file_open(&f, in_folder("empty"), &err), ISG_OK);
    assert_int_equal(f.size, 0);
    assert_non_null(f.data);
    isg_file_close(&f);
    assert_int_equal(isg_file_open(&f, "/proc/self/status", &err), ISG_OK); /* says 0 bytes and has some */
    assert_true(f.size > 0);
    isg_file_close(&f);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "through a pipe", 14), 14);
    close(pipes[1]);
    snprintf(name, sizeof name, "/proc/self/fd/%d", pipes[0]);
    assert_content(name, "through a pipe");
    close(pipes[0]);
    assert_int_equal(isg_write_file(in_folder("some"), "abc", 3, NULL), ISG_OK);
    assert_int_equal(isg_file_open(&f, in_folder("some"), NULL), ISG_OK);
    assert_int_equal((uintptr_t)f.data % 64, 0);
    isg_file_close(&f);
    isg_file_close(&f);
}

static void test_replace(void **state)
{
    isg_writer *w;
    const char *path = in_folder("out");
    struct stat info;
    unsigned before = entries();
    (void)state;
    umask(022);
    assert_int_equal(isg_write_file(path, "old", 3, NULL), ISG_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0644);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(isg_writer_open(&w, path, NULL), ISG_OK);
    assert_int_equal(isg_writer_write(w, "new ", 4, NULL), ISG_OK);
    assert_int_equal(isg_writer_flush(w, NULL), ISG_OK);
    assert_content(path, "old");
    isg_writer_abort(w);
    assert_content(path, "old");
    assert_int_equal(entries(), before + 1);
    assert_int_equal(isg_writer_open(&w, path, NULL), ISG_OK);
    for (int i = 0; i < 50000; i++) assert_int_equal(isg_writer_write(w, "0123456789", 10, NULL), ISG_OK);
    assert_int_equal(isg_writer_commit(w, NULL), ISG_OK);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_size, 500000);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(entries(), before + 1);
    assert_int_equal(symlink(path, in_folder("link")), 0);
    assert_int_equal(isg_write_file(in_folder("link"), "by link", 7, NULL), ISG_OK);
    assert_content(path, "by link");
    assert_int_equal(lstat(in_folder("link"), &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_true(isg_same_file(path, in_folder("link")));
    assert_false(isg_same_file(path, in_folder("empty")));
    assert_false(isg_same_file(path, in_folder("missing")));
    assert_int_equal(isg_write_file("/dev/null", "x", 1, NULL), ISG_OK);
    assert_int_equal(stat("/dev/null", &info), 0);
    assert_true(S_ISCHR(info.st_mode));
}

static void test_refusals(void **state)
{
    isg_error err;
    isg_writer *w;
    struct rlimit limit, small;
    const char *path = in_folder("kept");
    char *big = calloc(1, 1 << 20);
    unsigned before;
    (void)state;
    assert_int_equal(isg_write_file(path, "kept", 4, NULL), ISG_OK);
    before = entries();
    assert_int_equal(isg_write_file("/dev/full", "x", 1, &err), ISG_E_IO);
    assert_non_null(strstr(err.message, strerror(ENOSPC)));
    assert_int_equal(isg_write_file(folder, "x", 1, &err), ISG_E_IO);
    assert_int_equal(isg_write_file(in_folder("no/such/file"), "x", 1, &err), ISG_E_IO);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(isg_write_file(path, big, 1 << 20, &err), ISG_E_IO);
    assert_int_equal(isg_writer_open(&w, path, NULL), ISG_OK);
    assert_int_equal(isg_writer_write(w, big, 1 << 20, NULL), ISG_E_IO);
    assert_int_equal(isg_writer_commit(w, NULL), ISG_E_IO); /* although the caller ignored the failure */
    assert_int_equal(isg_writer_open(&w, "/dev/full", NULL), ISG_OK);
    assert_int_equal(isg_writer_write(w, "x", 1, NULL), ISG_OK); /* it is still in the buffer */
    assert_int_equal(isg_writer_flush(w, NULL), ISG_E_IO);
    assert_int_equal(isg_writer_flush(w, NULL), ISG_E_IO);
    assert_int_equal(isg_writer_commit(w, NULL), ISG_E_IO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_non_null(strstr(err.message, strerror(EFBIG)));
    assert_content(path, "kept");
    assert_int_equal(entries(), before);
    free(big);
    if (geteuid() != 0) { /* root writes anywhere */
        assert_int_equal(chmod(folder, 0500), 0);
        assert_int_equal(isg_write_file(path, "x", 1, &err), ISG_E_IO);
        assert_int_equal(chmod(folder, 0700), 0);
        assert_content(path, "kept");
    }
}

/* A process killed at any moment leaves the old content or the new, never a part. */
static void test_kill(void **state)
{
    const char *path = in_folder("killed");
    static const char old[] = "old old old", new[] = "new new new new";
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        pid_t child;
        isg_file f;
        assert_int_equal(isg_write_file(path, old, strlen(old), NULL), ISG_OK);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            for (;;) {
                if (isg_write_file(path, new, strlen(new), NULL) != ISG_OK) _exit(1);
            }
        }
        usleep(500u * round);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_int_equal(isg_file_open(&f, path, NULL), ISG_OK);
        assert_true((f.size == strlen(old) && !memcmp(f.data, old, f.size)) ||
                    (f.size == strlen(new) && !memcmp(f.data, new, f.size)));
        isg_file_close(&f);
    }
}

typedef struct job {
    atomic_uint calls[1000];
    atomic_int busy[32];
    atomic_int clashes;
    isg_parallel parallel;
    int nested;
} job;

static void count_call(void *arg, uint32_t index, uint32_t worker)
{
    job *j = arg;
    if (atomic_fetch_add(&j->busy[worker], 1) != 0) atomic_fetch_add(&j->clashes, 1);
    atomic_fetch_add(&j->calls[index], 1);
    atomic_fetch_sub(&j->busy[worker], 1);
}

static void nested_call(void *arg, uint32_t index, uint32_t worker)
{
    job *j = arg;
    (void)index;
    (void)worker;
    j->parallel.run(j->parallel.user, count_call, j, 1000);
}

/* Fewer indices than workers, more workers than ranges of indices, ranges that differ by one. */
static void test_pool_ranges(void **state)
{
    static const uint32_t threads[] = {2, 3, 16, 20}, counts[] = {2, 3, 5, 15, 16, 17, 33, 1000};
    (void)state;
    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        job *j = calloc(1, sizeof *j);
        uint32_t expected[1000] = {0};
        isg_pool *pool;
        isg_error err;
        assert_int_equal(isg_pool_create(&pool, threads[t], &err), ISG_OK);
        j->parallel = isg_pool_parallel(pool);
        for (int round = 0; round < 20; round++) {
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                j->parallel.run(j->parallel.user, count_call, j, counts[c]);
                for (uint32_t i = 0; i < counts[c]; i++) expected[i]++;
            }
        }
        for (uint32_t i = 0; i < 1000; i++) assert_int_equal(atomic_load(&j->calls[i]), expected[i]);
        assert_int_equal(atomic_load(&j->clashes), 0);
        isg_pool_destroy(pool);
        free(j);
    }
}

static void test_pool(void **state)
{
    isg_error err;
    isg_pool *pool;
    (void)state;
    for (uint32_t threads = 2; threads <= 4; threads++) {
        job *j = calloc(1, sizeof *j);
        assert_int_equal(isg_pool_create(&pool, threads, &err), ISG_OK);
        j->parallel = isg_pool_parallel(pool);
        assert_int_equal(j->parallel.workers, threads);
        for (int round = 0; round < 300; round++) j->parallel.run(j->parallel.user, count_call, j, 1000);
        j->parallel.run(j->parallel.user, count_call, j, 0);
        j->parallel.run(j->parallel.user, count_call, j, 1);
        for (unsigned i = 0; i < 1000; i++) assert_int_equal(atomic_load(&j->calls[i]), 300u + (i == 0));
        j->parallel.run(j->parallel.user, nested_call, j, 1);
        j->parallel.run(j->parallel.user, nested_call, j, 7);
        assert_int_equal(atomic_load(&j->calls[999]), 308);
        assert_int_equal(atomic_load(&j->clashes), 0);
        isg_pool_destroy(pool);
        free(j);
    }
    assert_int_equal(isg_pool_create(&pool, 1, &err), ISG_OK);
    assert_null(isg_pool_parallel(pool).run);
    isg_pool_destroy(pool);
    assert_int_equal(isg_pool_create(&pool, 5000, &err), ISG_E_LIMIT);
    assert_null(isg_pool_parallel(NULL).run);
    assert_int_equal(isg_pool_create(&pool, 0, &err), ISG_OK);
    isg_pool_destroy(pool);
    isg_pool_destroy(NULL);
}

static void write_fake(const char *name, const char *text)
{
    assert_int_equal(isg_write_file(in_folder(name), text, strlen(text), NULL), ISG_OK);
}

static void test_cgroups(void **state)
{
    char members[PATH_MAX], mount[PATH_MAX];
    (void)state;
    snprintf(members, sizeof members, "%s", in_folder("members"));
    snprintf(mount, sizeof mount, "%s", in_folder("cg"));
    assert_int_equal(mkdir(mount, 0700), 0);
    assert_int_equal(mkdir(in_folder("cg/a"), 0700), 0);
    assert_int_equal(mkdir(in_folder("cg/a/b"), 0700), 0);
    assert_int_equal(isgi_cgroup_cpus(in_folder("missing"), mount), 0);
    write_fake("members", "0::/a/b\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 0);
    write_fake("cg/a/b/cpu.max", "max 100000\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 0);
    write_fake("cg/a/cpu.max", "150000 100000\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 2);
    write_fake("cg/a/b/cpu.max", "100000 100000\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 1);
    assert_int_equal(mkdir(in_folder("cg/cpu"), 0700), 0);
    write_fake("members", "3:cpuset:/\n2:cpu,cpuacct:/gone\n");
    write_fake("cg/cpu/cpu.cfs_quota_us", "-1\n");
    write_fake("cg/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 0);
    write_fake("cg/cpu/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(isgi_cgroup_cpus(members, mount), 3);
    assert_true(isg_host_threads() >= 1);
}

static void test_energy(void **state)
{
    char zones[PATH_MAX];
    (void)state;
    snprintf(zones, sizeof zones, "%s", in_folder("powercap"));
    assert_int_equal(isgi_powercap_microjoules(zones), 0);
    assert_int_equal(mkdir(zones, 0700), 0);
    assert_int_equal(mkdir(in_folder("powercap/intel-rapl:0"), 0700), 0);
    assert_int_equal(mkdir(in_folder("powercap/intel-rapl:0:0"), 0700), 0); /* a part of the package, not another one */
    write_fake("powercap/intel-rapl:0:0/energy_uj", "17\n");
    assert_int_equal(isgi_powercap_microjoules(zones), 0);
    write_fake("powercap/intel-rapl:0/energy_uj", "262143328850\n");
    assert_true(isgi_powercap_microjoules(zones) == 262143328850u);
    assert_int_equal(mkdir(in_folder("powercap/intel-rapl:1"), 0700), 0);
    write_fake("powercap/intel-rapl:1/energy_uj", "150\n");
    assert_true(isgi_powercap_microjoules(zones) == 262143329000u);
    write_fake("powercap/intel-rapl:1/energy_uj", "none\n");
    assert_true(isgi_powercap_microjoules(zones) == 262143328850u);
}

static void test_system(void **state)
{
    uint64_t resident, peak, t = isg_host_nanoseconds();
    (void)state;
    isg_host_memory(&resident, &peak);
    assert_true(resident > 0 && peak >= resident);
    assert_true(isg_host_nanoseconds() >= t && t > 0);
}

static void test_sha256(void **state)
{
    static const struct {
        const char *text;
        unsigned times;
        const char *hex;
    } cases[] = {
        {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        size_t n = strlen(cases[c].text), bytes = n * cases[c].times;
        char *text = malloc(bytes + 1), hex[65];
        uint8_t digest[32];
        for (unsigned i = 0; i < cases[c].times; i++) memcpy(text + i * n, cases[c].text, n);
        isg_sha256(digest, text, bytes);
        for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        assert_string_equal(hex, cases[c].hex);
        free(text);
    }
}

static void test_rng(void **state)
{
    /* The published generator started from the state 1, 2, 3, 4. */
    static const uint64_t expected[4] = {11520u, 0u, 1509978240u, 1215971899390074240u};
    isgi_rng r = {{1, 2, 3, 4}, 0.0, 0}, copy;
    uint8_t saved[ISGI_RNG_STATE_BYTES];
    double sum = 0, squares = 0;
    uint32_t order[100], hits[10] = {0};
    uint64_t other;
    (void)state;
    for (int i = 0; i < 4; i++) assert_int_equal(isgi_rng_u64(&r), expected[i]);
    isgi_rng_seed(&r, 7, 0);
    isgi_rng_seed(&copy, 7, 1);
    other = isgi_rng_u64(&copy);
    assert_int_not_equal(isgi_rng_u64(&r), other);
    for (int i = 0; i < 100001; i++) {
        double x = isgi_rng_normal(&r);
        sum += x;
        squares += x * x;
    }
    assert_true(sum / 100001 < 0.015 && sum / 100001 > -0.015);
    assert_true(squares / 100001 < 1.02 && squares / 100001 > 0.98);
    isgi_rng_save(&r, saved); /* holds a spare deviate */
    assert_int_equal(isgi_rng_load(&copy, saved), 1);
    for (int i = 0; i < 5; i++) assert_true(isgi_rng_normal(&r) == isgi_rng_normal(&copy));
    memset(saved, 0, sizeof saved);
    assert_int_equal(isgi_rng_load(&copy, saved), 0);
    for (uint32_t i = 0; i < 100; i++) order[i] = i;
    isgi_rng_shuffle(&r, order, 100);
    for (uint32_t i = 0, seen; i < 100; i++) {
        seen = 0;
        for (uint32_t j = 0; j < 100; j++) seen += order[j] == i;
        assert_int_equal(seen, 1);
    }
    for (int i = 0; i < 10000; i++) hits[isgi_rng_below(&r, 10)]++;
    for (int i = 0; i < 10; i++) assert_true(hits[i] > 850 && hits[i] < 1150);
    for (int i = 0; i < 1000; i++) {
        float f = isgi_rng_float(&r);
        assert_true(f >= 0.0f && f < 1.0f);
    }
}

static void test_buffer(void **state)
{
    isgi_buffer b;
    uint8_t *room;
    size_t bytes;
    void *taken;
    (void)state;
    isgi_buffer_init(&b, 10000);
    for (int i = 0; i < 1000; i++) assert_int_equal(isgi_buffer_append(&b, "012345678", 9, NULL), ISG_OK);
    assert_int_equal(isgi_buffer_align(&b, 64, NULL), ISG_OK);
    assert_int_equal(b.size, 9024);
    assert_int_equal(isgi_buffer_extend(&b, 977, &room, NULL), ISG_E_LIMIT);
    assert_int_equal(isgi_buffer_extend(&b, 976, &room, NULL), ISG_OK);
    assert_int_equal(isgi_buffer_extend(&b, SIZE_MAX, &room, NULL), ISG_E_LIMIT);
    assert_memory_equal(b.data + 8991, "012345678\0\0", 11);
    taken = isgi_buffer_take(&b, &bytes);
    assert_int_equal(bytes, 10000);
    assert_int_equal(b.size, 0);
    isg_free(taken);
    isgi_buffer_free(&b);
}

static void test_no_memory(void **state)
{
    const char *path = in_folder("memory");
    isg_file f;
    isg_pool *pool;
    isg_status status = ISG_E_NOMEM;
    uint64_t n;
    (void)state;
    assert_int_equal(isg_write_file(path, "a", 1, NULL), ISG_OK);
    for (n = 1; status != ISG_OK; n++) {
        isgi_alloc_fail_at(n);
        status = isg_write_file(path, "b", 1, NULL);
        assert_true(status == ISG_OK || status == ISG_E_NOMEM);
        isgi_alloc_fail_at(0);
        assert_content(path, status == ISG_OK ? "b" : "a");
    }
    assert_true(n > 3);
    isgi_alloc_fail_at(1);
    assert_int_equal(isg_file_open(&f, path, NULL), ISG_E_NOMEM);
    isgi_alloc_fail_at(2);
    assert_int_equal(isg_file_open(&f, "/proc/self/status", NULL), ISG_E_NOMEM);
    isgi_alloc_fail_at(1);
    assert_int_equal(isg_pool_create(&pool, 2, NULL), ISG_E_NOMEM);
    isgi_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),      cmocka_unit_test(test_replace), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_kill),      cmocka_unit_test(test_pool),    cmocka_unit_test(test_pool_ranges),
        cmocka_unit_test(test_cgroups),   cmocka_unit_test(test_energy),  cmocka_unit_test(test_system),
        cmocka_unit_test(test_sha256),    cmocka_unit_test(test_rng),     cmocka_unit_test(test_buffer),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, clean_folder);
}
