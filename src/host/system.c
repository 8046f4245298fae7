/* SPDX-License-Identifier: Apache-2.0 */
/* Clock, energy, memory of the process, and how many threads it may sensibly use. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "host/system.h"

#include <insitu/host.h>
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 4096u /* more of a /proc or control group file is never needed */

uint64_t isg_host_nanoseconds(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Up to size-1 bytes of a small file; 0 if there is none. */
static size_t read_text(char *dst, size_t size, const char *path)
{
    FILE *f = fopen(path, "r");
    size_t n = 0;
    if (f) {
        n = fread(dst, 1, size - 1, f);
        fclose(f);
    }
    dst[n] = '\0';
    return n;
}

static uint64_t status_kilobytes(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    uint64_t kilobytes = 0;
    if (!at || sscanf(at + strlen(key), "%" SCNu64, &kilobytes) != 1) return 0;
    return kilobytes * 1024u;
}

void isg_host_memory(uint64_t *resident, uint64_t *peak)
{
    char text[TEXT_BYTES];
    read_text(text, sizeof text, "/proc/self/status");
    if (resident) *resident = status_kilobytes(text, "\nVmRSS:");
    if (peak) *peak = status_kilobytes(text, "\nVmHWM:");
}

uint64_t isgi_powercap_microjoules(const char *folder)
{
    uint64_t sum = 0;
    for (unsigned package = 0;; package++) {
        char path[PATH_MAX], text[64];
        uint64_t one;
        if (snprintf(path, sizeof path, "%s/intel-rapl:%u/energy_uj", folder, package) >= (int)sizeof path ||
            !read_text(text, sizeof text, path) || sscanf(text, "%" SCNu64, &one) != 1)
            return sum;
        sum += one;
    }
}

uint64_t isg_host_microjoules(void)
{
    return isgi_powercap_microjoules("/sys/class/powercap");
}

static void keep_smaller(uint32_t *limit, uint64_t quota, uint64_t period)
{
    uint64_t cpus;
    if (quota == 0 || period == 0) return;
    cpus = quota / period + (quota % period != 0);
    if (cpus < UINT32_MAX && (*limit == 0 || cpus < *limit)) *limit = (uint32_t)cpus;
}

/* One group: cpu.max (version 2) or cpu.cfs_quota_us and cpu.cfs_period_us (version 1, -1: none). */
static void group_limit(uint32_t *limit, const char *folder)
{
    char path[PATH_MAX], text[64];
    uint64_t quota, period;
    if (snprintf(path, sizeof path, "%s/cpu.max", folder) < (int)sizeof path && read_text(text, sizeof text, path) &&
        sscanf(text, "%" SCNu64 " %" SCNu64, &quota, &period) == 2) {
        keep_smaller(limit, quota, period);
    }
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder) < (int)sizeof path &&
        read_text(text, sizeof text, path) && text[0] != '-' && sscanf(text, "%" SCNu64, &quota) == 1 &&
        snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder) < (int)sizeof path &&
        read_text(text, sizeof text, path) && sscanf(text, "%" SCNu64, &period) == 1) {
        keep_smaller(limit, quota, period);
    }
}

/* The group and its ancestors up to the mount point. In a container the path may name nothing: ancestors still count.
 */
static void chain_limit(uint32_t *limit, const char *mount, const char *controller, const char *group)
{
    char folder[PATH_MAX];
    size_t root;
    int n = snprintf(folder, sizeof folder, "%s%s%s", mount, controller[0] ? "/" : "", controller);
    if (n < 0 || (size_t)n >= sizeof folder) return;
    root = (size_t)n;
    n = snprintf(folder + root, sizeof folder - root, "%s", group);
    if (n < 0 || (size_t)n >= sizeof folder - root) return;
    for (;;) {
        char *slash;
        group_limit(limit, folder);
        slash = strrchr(folder + root, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

uint32_t isgi_cgroup_cpus(const char *membership, const char *mount)
{
    char text[TEXT_BYTES], *line, *rest;
    uint32_t limit = 0;
    read_text(text, sizeof text, membership);
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        controllers++;
        if (controllers[0] == '\0') {
            chain_limit(&limit, mount, "", group);
            chain_limit(&limit, mount, "unified", group);
        } else if (strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 ||
                   strstr(controllers, ",cpu,")) {
            chain_limit(&limit, mount, "cpu", group);
            if (strcmp(controllers, "cpu") != 0) chain_limit(&limit, mount, controllers, group);
        }
    }
    return limit;
}

uint32_t isg_host_threads(void)
{
    const uint32_t quota = isgi_cgroup_cpus("/proc/self/cgroup", "/sys/fs/cgroup");
    long cpus = 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
    if (cpus <= 0) cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus <= 0) cpus = 1;
    return quota && quota < (uint32_t)cpus ? quota : (uint32_t)cpus;
}
