/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file image: open it, and if that goes well plan, initialise and run within 64 MB. */
#include <insitu/format.h>
#include <insitu/rt.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/endian.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Makes checksums right, for else no mutation would get past them. */
static void seal(uint8_t *image, size_t size)
{
    const uint64_t head = ISG_FORMAT_HEADER_BYTES;
    uint32_t count;
    if (size < head) return;
    isgi_store_u64(image + ISG_FORMAT_AT_FILE_BYTES, size);
    count = isgi_load_u32(image + ISG_FORMAT_AT_SECTIONS);
    if (count > ISG_FORMAT_MAX_SECTIONS || count * (uint64_t)ISG_FORMAT_SECTION_BYTES > size - head) return;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *e = image + head + (size_t)i * ISG_FORMAT_SECTION_BYTES;
        const uint64_t offset = isgi_load_u64(e + 8), length = isgi_load_u64(e + 16);
        if (offset <= size && length <= size - offset)
            isgi_store_u32(e + 4, isgi_crc32c(0, image + offset, (size_t)length));
    }
    isgi_store_u32(image + ISG_FORMAT_AT_CRC, 0);
    isgi_store_u32(image + ISG_FORMAT_AT_CRC,
                   isgi_crc32c(0, image, (size_t)(head + (uint64_t)count * ISG_FORMAT_SECTION_BYTES)));
}

static uint64_t elements(const isg_rt_io *io)
{
    uint64_t n = 1;
    for (uint32_t d = 0; d < io->rank; d++) n *= io->dims[d] ? io->dims[d] : 1;
    return n;
}

static void run(const isg_rt_model *model, const isg_rt_options *options, uint64_t workspace_bytes)
{
    const float *in[ISG_FORMAT_MAX_IO] = {0};
    float *out[ISG_FORMAT_MAX_IO] = {0};
    isg_rt_context *ctx;
    isg_rt_io io;
    uint64_t macs = 0;
    void *workspace = aligned_alloc(ISG_RT_ALIGNMENT, (size_t)workspace_bytes);
    if (!workspace) return;
    if (isg_rt_context_init(&ctx, workspace, (size_t)workspace_bytes, model, options, NULL) != ISG_OK) abort();
    for (uint32_t i = 0; i < isg_rt_op_count(ctx); i++) {
        isg_rt_op info;
        if (isg_rt_op_info(ctx, i, &info) == ISG_OK) macs += info.macs;
    }
    for (uint32_t i = 0; i < isg_rt_input_count(model); i++)
        if (isg_rt_input(model, i, &io) == ISG_OK) in[i] = (float *)calloc((size_t)elements(&io), sizeof(float));
    for (uint32_t i = 0; i < isg_rt_output_count(model); i++)
        if (isg_rt_output(model, i, &io) == ISG_OK) out[i] = (float *)calloc((size_t)elements(&io), sizeof(float));
    /* More work than this is slow, not wrong. */
    if (macs < 1u << 24 && isg_rt_run(ctx, in, out, NULL) == ISG_E_INTERNAL) abort();
    for (uint32_t i = 0; i < ISG_FORMAT_MAX_IO; i++) {
        free((void *)(uintptr_t)in[i]);
        free(out[i]);
    }
    free(workspace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    isg_rt_options options = ISG_RT_OPTIONS_INIT;
    isg_rt_model model;
    isg_rt_memory memory;
    void *block = NULL;
    uint8_t *image;
    /* A buffer that ends where the data end, so that a read beyond is seen. */
    if (posix_memalign(&block, ISG_RT_ALIGNMENT, size ? size : 1) != 0) return 0;
    image = (uint8_t *)block;
    if (size) memcpy(image, data, size);
    seal(image, size);
    options.max_memory = 64u << 20;
    options.isa_mask = size & 1u ? ISG_ISA_SCALAR : ISG_ISA_ALL;
    options.strategy = (uint32_t)(size >> 1) % 4u;
    options.mode = size >> 3 & 1u ? ISG_MODE_INT8 : ISG_MODE_F32; /* refused where no ranges are stored */
    if (isg_rt_open(&model, image, size, NULL) == ISG_OK && isg_rt_plan(&model, &options, &memory, NULL) == ISG_OK)
        run(&model, &options, memory.workspace_bytes);
    free(block);
    return 0;
}
