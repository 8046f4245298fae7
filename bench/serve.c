/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a contender: serve.h says what it answers. */
#include "serve.h"

#include <insitu/host.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 32

static double milliseconds_since(uint64_t start)
{
    return (double)(isg_host_nanoseconds() - start) * 1e-6;
}

static void print_memory(uint64_t empty)
{
    uint64_t resident, peak;
    isg_host_memory(&resident, &peak);
    printf("%llu %llu", (unsigned long long)(resident > empty ? resident - empty : 0), (unsigned long long)peak);
}

static int answer(const served *s, const char *line, uint64_t empty)
{
    unsigned runs, warm = 0;
    if (sscanf(line, "run %u %u", &runs, &warm) >= 1) {
        const uint64_t begin = isg_host_nanoseconds();
        do {
            if (s->run(s->contender)) return 1;
        } while (milliseconds_since(begin) < warm);
        for (unsigned i = 0; i < runs; i++) {
            const uint64_t start = isg_host_nanoseconds();
            if (s->run(s->contender)) return 1;
            printf("%s%.6f", i ? " " : "", milliseconds_since(start));
        }
    } else if (strncmp(line, "memory", 6) == 0) {
        print_memory(empty);
    } else if (strncmp(line, "output", 6) == 0 && s->output) {
        uint64_t count;
        const float *y = s->output(s->contender, &count);
        if (!y) return 1;
        for (uint64_t i = 0; i < count && i < SHOWN; i++) printf("%s%.9g", i ? " " : "", (double)y[i]);
    }
    putchar('\n');
    fflush(stdout);
    return 0;
}

uint32_t served_number(const char *text, uint32_t most)
{
    char *end;
    const unsigned long n = strtoul(text, &end, 10);
    return *text < '0' || *text > '9' || *end || n > most ? 0 : (uint32_t)n;
}

uint64_t served_empty(void)
{
    uint64_t resident, peak;
    isg_host_memory(&resident, &peak);
    return resident;
}

int serve(const served *s, uint64_t empty)
{
    const uint64_t start = isg_host_nanoseconds();
    char line[64];
    if (s->open(s->contender)) return 1;
    printf("ready %.3f ", milliseconds_since(start));
    print_memory(empty);
    printf(" %llu %s\n", (unsigned long long)*s->weight_bytes, s->version);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (answer(s, line, empty)) return 1;
    }
    return 0;
}
