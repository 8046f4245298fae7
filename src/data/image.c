/* SPDX-License-Identifier: Apache-2.0 */
/* JPEG and PNG to 8-bit RGB through libjpeg and libpng, with every limit checked before pixels are allocated. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>
#include <png.h>

#include "data/dataset_impl.h"
#include "host/alloc.h"

static isg_status image_limit(uint32_t width, uint32_t height, uint64_t max_pixels, isg_error *err)
{
    if (width == 0 || height == 0) return isgi_fail(err, ISG_E_FORMAT, "image has no pixels");
    if (width > ISGI_DATA_MAX_SIDE || height > ISGI_DATA_MAX_SIDE || (uint64_t)width * height > max_pixels)
        return isgi_fail(err, ISG_E_LIMIT, "image of %ux%u pixels is over the limit", width, height);
    return ISG_OK;
}

/* Everything that must survive a longjmp lives here, not in locals. */
typedef struct jpeg_state {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
    uint8_t *pixels;
    isg_status status;
} jpeg_state;

static void jpeg_fail(j_common_ptr info)
{
    jpeg_state *state = info->client_data;
    info->err->format_message(info, state->message);
    longjmp(state->escape, 1);
}

/* Data that end early are errors here: the library would fill the rest with grey. Other warnings are harmless. */
static void jpeg_message(j_common_ptr info, int level)
{
    if (level < 0 && (info->err->msg_code == JWRN_JPEG_EOF || info->err->msg_code == JWRN_HIT_MARKER)) jpeg_fail(info);
}

static void jpeg_begin(jpeg_state *state)
{
    state->info.err = jpeg_std_error(&state->errors);
    state->errors.error_exit = jpeg_fail;
    state->errors.emit_message = jpeg_message;
    state->info.client_data = state;
}

static isg_status jpeg_pixels(jpeg_state *state, const void *bytes, size_t size, uint64_t max_pixels, uint32_t *width,
                              uint32_t *height, isg_error *err)
{
    struct jpeg_decompress_struct *info = &state->info;
    jpeg_begin(state);
    if (setjmp(state->escape)) {
        state->status = isgi_fail(err, ISG_E_FORMAT, "bad JPEG: %.180s", state->message);
        goto done;
    }
    jpeg_create_decompress(info);
    jpeg_mem_src(info, bytes, (unsigned long)size);
    jpeg_read_header(info, TRUE);
    state->status = image_limit(info->image_width, info->image_height, max_pixels, err);
    if (state->status != ISG_OK) goto done;
    if (info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK) {
        state->status = isgi_fail(err, ISG_E_UNSUPPORTED, "JPEG in CMYK");
        goto done;
    }
    info->out_color_space = JCS_RGB;
    jpeg_start_decompress(info);
    *width = info->output_width;
    *height = info->output_height;
    state->pixels = isgi_calloc((size_t)*width * *height, 3);
    if (!state->pixels) {
        state->status = isgi_nomem(err);
        goto done;
    }
    while (info->output_scanline < info->output_height) {
        JSAMPROW row = state->pixels + (size_t)info->output_scanline * info->output_width * 3;
        jpeg_read_scanlines(info, &row, 1);
    }
    jpeg_finish_decompress(info);
done:
    jpeg_destroy_decompress(info);
    return state->status;
}

static isg_status image_jpeg(const void *bytes, size_t size, uint64_t max_pixels, uint8_t **pixels, uint32_t *width,
                             uint32_t *height, isg_error *err)
{
    jpeg_state *state = isgi_calloc(1, sizeof *state);
    isg_status status;
    if (!state) return isgi_nomem(err);
    status = jpeg_pixels(state, bytes, size, max_pixels, width, height, err);
    if (status == ISG_OK) {
        *pixels = state->pixels;
    } else {
        isg_free(state->pixels);
    }
    isg_free(state);
    return status;
}

typedef struct png_state {
    png_structp png;
    png_infop info;
    const uint8_t *p, *end;
    uint8_t *pixels;
    uint8_t **rows;
    char message[128];
    isg_status status;
} png_state;

static void png_fail(png_structp png, png_const_charp message)
{
    png_state *state = png_get_error_ptr(png);
    snprintf(state->message, sizeof state->message, "%s", message);
    longjmp(png_jmpbuf(png), 1);
}

static void png_ignore(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void png_source(png_structp png, png_bytep dst, size_t n)
{
    png_state *state = png_get_io_ptr(png);
    if (n > (size_t)(state->end - state->p)) png_error(png, "data end early");
    memcpy(dst, state->p, n);
    state->p += n;
}

/* Palette, low bit depths, 16 bits, grey and alpha all become 8-bit RGB; alpha is dropped. */
static void png_to_rgb(png_structp png, png_infop info)
{
    png_set_expand(png);
    png_set_strip_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

static isg_status png_pixels(png_state *state, uint64_t max_pixels, uint32_t *width, uint32_t *height, isg_error *err)
{
    uint32_t y;
    if (setjmp(png_jmpbuf(state->png))) return isgi_fail(err, ISG_E_FORMAT, "bad PNG: %.120s", state->message);
    png_set_read_fn(state->png, state, png_source);
    png_set_user_limits(state->png, ISGI_DATA_MAX_SIDE, ISGI_DATA_MAX_SIDE);
    png_read_info(state->png, state->info);
    *width = png_get_image_width(state->png, state->info);
    *height = png_get_image_height(state->png, state->info);
    state->status = image_limit(*width, *height, max_pixels, err);
    if (state->status != ISG_OK) return state->status;
    png_to_rgb(state->png, state->info);
    if (png_get_rowbytes(state->png, state->info) != (size_t)*width * 3)
        return isgi_fail(err, ISG_E_UNSUPPORTED, "PNG does not decode to 8-bit RGB");
    state->pixels = isgi_calloc((size_t)*width * *height, 3);
    state->rows = isgi_calloc(*height, sizeof *state->rows);
    if (!state->pixels || !state->rows) return isgi_nomem(err);
    for (y = 0; y < *height; y++) state->rows[y] = state->pixels + (size_t)y * *width * 3;
    png_read_image(state->png, state->rows);
    png_read_end(state->png, NULL);
    return ISG_OK;
}

static isg_status image_png(const void *bytes, size_t size, uint64_t max_pixels, uint8_t **pixels, uint32_t *width,
                            uint32_t *height, isg_error *err)
{
    png_state *state = isgi_calloc(1, sizeof *state);
    isg_status status;
    if (!state) return isgi_nomem(err);
    state->p = bytes;
    state->end = state->p + size;
    state->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, state, png_fail, png_ignore);
    if (state->png) state->info = png_create_info_struct(state->png);
    status = state->info ? png_pixels(state, max_pixels, width, height, err) : isgi_nomem(err);
    if (status == ISG_OK) {
        *pixels = state->pixels;
        state->pixels = NULL;
    }
    if (state->png) png_destroy_read_struct(&state->png, &state->info, NULL);
    isg_free(state->rows);
    isg_free(state->pixels);
    isg_free(state);
    return status;
}

static int image_is_jpeg(const uint8_t *p, size_t size)
{
    return size >= 3 && p[0] == 0xff && p[1] == 0xd8 && p[2] == 0xff;
}

static int image_is_png(const uint8_t *p, size_t size)
{
    return size >= 8 && !memcmp(p, "\x89PNG\r\n\x1a\n", 8);
}

isg_status isg_image_decode(const void *bytes, size_t size, uint64_t max_pixels, uint8_t **pixels, uint32_t *width,
                            uint32_t *height, isg_error *err)
{
    uint32_t w = 0, h = 0;
    uint8_t *decoded = NULL;
    isg_status status;
    if (!bytes || !pixels || !width || !height) return isgi_fail(err, ISG_E_ARG, "image decode: missing argument");
    if (max_pixels == 0 || max_pixels > ISGI_DATA_MAX_PIXELS) max_pixels = ISGI_DATA_MAX_PIXELS;
    if (image_is_jpeg(bytes, size)) {
        status = image_jpeg(bytes, size, max_pixels, &decoded, &w, &h, err);
    } else if (image_is_png(bytes, size)) {
        status = image_png(bytes, size, max_pixels, &decoded, &w, &h, err);
    } else {
        return isgi_fail(err, ISG_E_FORMAT, "neither JPEG nor PNG");
    }
    if (status != ISG_OK) return status;
    *pixels = decoded;
    *width = w;
    *height = h;
    return ISG_OK;
}

static int probe_jpeg(jpeg_state *state, const void *bytes, size_t size, uint32_t *width, uint32_t *height)
{
    volatile int ok = 0;
    jpeg_begin(state);
    if (!setjmp(state->escape)) {
        jpeg_create_decompress(&state->info);
        jpeg_mem_src(&state->info, bytes, (unsigned long)size);
        jpeg_read_header(&state->info, TRUE);
        *width = state->info.image_width;
        *height = state->info.image_height;
        ok = 1;
    }
    jpeg_destroy_decompress(&state->info);
    return ok;
}

int isgi_image_probe(const void *bytes, size_t size, uint32_t *width, uint32_t *height)
{
    const uint8_t *p = bytes;
    jpeg_state *state;
    int ok;
    if (image_is_png(p, size)) {
        if (size < 24 || memcmp(p + 12, "IHDR", 4)) return 0;
        *width = (uint32_t)p[16] << 24 | (uint32_t)p[17] << 16 | (uint32_t)p[18] << 8 | p[19];
        *height = (uint32_t)p[20] << 24 | (uint32_t)p[21] << 16 | (uint32_t)p[22] << 8 | p[23];
        return 1;
    }
    if (!image_is_jpeg(p, size)) return 0;
    state = isgi_calloc(1, sizeof *state);
    if (!state) return 0;
    ok = probe_jpeg(state, bytes, size, width, height);
    isg_free(state);
    return ok;
}

isg_status isgi_image_file(const char *path, uint8_t **pixels, uint32_t *width, uint32_t *height, isg_error *err)
{
    isg_file file;
    char name[120];
    isg_error inner;
    isg_status status = isg_file_open(&file, path, err);
    if (status != ISG_OK) return status;
    status = file.size ? isg_image_decode(file.data, file.size, 0, pixels, width, height, &inner)
                       : isgi_fail(&inner, ISG_E_FORMAT, "empty file");
    if (status != ISG_OK) isgi_fail(err, status, "%s: %.100s", isgi_escape(name, sizeof name, path), inner.message);
    isg_file_close(&file);
    return status;
}

isg_status isg_image_load(const char *path, const isg_input_spec *spec, float *dst, isg_error *err)
{
    uint8_t *pixels = NULL;
    uint32_t width, height;
    char name[120];
    isg_status status;
    if (!path || !spec || !dst) return isgi_fail(err, ISG_E_ARG, "image load: missing argument");
    isgi_escape(name, sizeof name, path);
    if (!spec->crop && (!spec->height || !spec->width))
        return isgi_fail(err, ISG_E_ARG, "%s: the size of the network's input is not known", name);
    status = isgi_image_file(path, &pixels, &width, &height, err);
    if (status != ISG_OK) return status;
    status = isgi_contract_pixels(dst, pixels, 3, height, width, spec, name, err);
    isg_free(pixels);
    return status;
}
