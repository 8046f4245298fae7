/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest whole use of libinsitu_rt: a model is mapped, opened in place and run once; its top classes are printed.
 * usage: classify MODEL.isg [INPUT.f32]
 * INPUT.f32 holds the numbers of one input as the network reads them, float32 of this machine in [C,H,W] order. Without
 * it the input is the one that the file carries for its own test. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <insitu/format.h>
#include <insitu/rt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOP 5

/* The file's bytes, which the model then borrows. A page is aligned to more than the 64 bytes that are asked for. */
static const void *map_file(const char *path, size_t *bytes)
{
    struct stat st;
    void *image = MAP_FAILED;
    const int fd = open(path, O_RDONLY);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
        image = mmap(NULL, *bytes = (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0) close(fd);
    return image == MAP_FAILED ? NULL : image;
}

/* Numbers in one item: a dimension of 0 is the batch, which is 1 here. */
static size_t count_of(const isg_rt_io *io)
{
    size_t n = 1;
    uint32_t d;
    for (d = 0; d < io->rank; d++) n *= io->dims[d] ? io->dims[d] : 1;
    return n;
}

/* An integer of the file: little-endian on every machine. */
static uint64_t little_endian(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    while (bytes--) v = v << 8 | p[bytes];
    return v;
}

static int read_input(float *input, size_t count, const char *path)
{
    FILE *f = fopen(path, "rb");
    size_t got = f ? fread(input, sizeof *input, count, f) : 0;
    const int whole = got == count && fgetc(f) == EOF;
    if (f) fclose(f);
    if (!whole) fprintf(stderr, "classify: %s: not %zu float32 numbers\n", path, count);
    return whole;
}

/* docs/format.md, section 5: the seed of the golden input comes first. */
static int golden_input(float *input, size_t count, const isg_rt_model *model)
{
    size_t bytes, i;
    const unsigned char *golden = isg_rt_section(model, ISG_SECTION_GOLDEN, &bytes);
    uint64_t state;
    if (!golden || bytes < ISG_FORMAT_GOLDEN_HEADER_BYTES) {
        fprintf(stderr, "classify: the model carries no input of its own; give INPUT.f32\n");
        return 0;
    }
    state = little_endian(golden, 8);
    for (i = 0; i < count; i++) input[i] = isg_golden_next(&state);
    return 1;
}

/* A number of 7 bits a byte (docs/format.md, section 2), or the largest one where the section ends too early. */
static uint32_t read_number(const unsigned char **at, const unsigned char *end)
{
    uint32_t v = 0;
    int shift;
    for (shift = 0; shift < 35 && *at < end; shift += 7) {
        const unsigned char byte = *(*at)++;
        v |= (uint32_t)(byte & 127u) << shift;
        if (byte < 128) return v;
    }
    return UINT32_MAX;
}

/* docs/format.md, section 4: the name of a class, or nothing. */
static void print_name(const isg_rt_model *model, uint32_t index)
{
    size_t bytes;
    const unsigned char *at = isg_rt_section(model, ISG_SECTION_CLASSES, &bytes), *end = at ? at + bytes : at;
    uint32_t count = at ? read_number(&at, end) : 0, length = 0;
    if (index >= count) return;
    do {
        at += length;
        length = read_number(&at, end);
        if (length > (size_t)(end - at)) return;
    } while (index--);
    for (; length--; at++) putchar(*at < 32 || *at == 127 ? '?' : *at); /* the file may say anything */
}

/* The best first, without NaN, which also marks what was printed; what the file calls its label offset says which
 * output is class 0. Returns how many there were. */
static int print_top(const isg_rt_model *model, float *scores, size_t count)
{
    size_t bytes, i, first = 0;
    int k;
    const unsigned char *contract = isg_rt_section(model, ISG_SECTION_INPUT, &bytes);
    if (contract && bytes == ISG_FORMAT_INPUT_BYTES) first = (size_t)little_endian(contract + 60, 4);
    for (k = 0; k < TOP && first + (size_t)k < count; k++) {
        size_t best = first;
        for (i = first; i < count; i++)
            if (!(scores[best] >= scores[i]) && scores[i] == scores[i]) best = i;
        if (scores[best] != scores[best]) break;
        printf("  %6zu  %12.6g  ", best - first, (double)scores[best]);
        print_name(model, (uint32_t)(best - first));
        putchar('\n');
        scores[best] = NAN;
    }
    return k;
}

static int failed(const char *path, const isg_error *err)
{
    fprintf(stderr, "classify: %s: %s\n", path, err->message);
    return 1;
}

int main(int argc, char **argv)
{
    isg_rt_model model;
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_memory memory;
    isg_rt_context *context;
    isg_rt_io in, out;
    isg_error err;
    size_t bytes, in_count, out_count;
    const void *image;
    void *workspace;
    float *input, *output;
    int done = 0;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: classify MODEL.isg [INPUT.f32]\n");
        return 2;
    }
    image = map_file(argv[1], &bytes);
    if (!image) {
        fprintf(stderr, "classify: %s: cannot be read\n", argv[1]);
        return 1;
    }
    /* Every byte is checked here, so that a damaged or hostile file ends here. */
    if (isg_rt_open(&model, image, bytes, &err) != ISG_OK) return failed(argv[1], &err);
    if (isg_rt_input_count(&model) != 1 || isg_rt_output_count(&model) != 1 || isg_rt_input(&model, 0, &in) != ISG_OK ||
        isg_rt_output(&model, 0, &out) != ISG_OK) {
        fprintf(stderr, "classify: %s: not one input and one output\n", argv[1]);
        return 1;
    }
    in_count = count_of(&in);
    out_count = count_of(&out);

    /* The exact memory that a run needs is known before; nothing else is ever taken. */
    if (isg_rt_plan(&model, &options, &memory, &err) != ISG_OK) return failed(argv[1], &err);
    workspace = aligned_alloc(ISG_RT_ALIGNMENT,
                              (memory.workspace_bytes + ISG_RT_ALIGNMENT - 1) / ISG_RT_ALIGNMENT * ISG_RT_ALIGNMENT);
    input = malloc(in_count * sizeof *input);
    output = malloc(out_count * sizeof *output);
    if (!workspace || !input || !output) {
        fprintf(stderr, "classify: out of memory\n");
    } else if (argc == 3 ? read_input(input, in_count, argv[2]) : golden_input(input, in_count, &model)) {
        const float *inputs[1] = {input};
        float *outputs[1] = {output};
        /* The context lies in the workspace; it is run as often as one likes and needs no clean-up. */
        if (isg_rt_context_init(&context, workspace, memory.workspace_bytes, &model, &options, &err) != ISG_OK ||
            isg_rt_run(context, inputs, outputs, &err) != ISG_OK) {
            failed(argv[1], &err);
        } else {
            done = print_top(&model, output, out_count) > 0;
            if (!done) fprintf(stderr, "classify: no score is a number\n");
        }
    }
    free(output);
    free(input);
    free(workspace);
    munmap((void *)(uintptr_t)image, bytes);
    return !done;
}
