/* SPDX-License-Identifier: Apache-2.0 */
/* Tensor bytes kept in files beside the model. */
#ifndef INSITU_ONNX_EXTERNAL_H
#define INSITU_ONNX_EXTERNAL_H

#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

/* Opens `location` (relative to `folder`), which must name a regular file with one link inside that folder, reached
 * without "..", symbolic links or absolute paths, and gives a descriptor and the file's size. Errors: FORMAT (a path
 * that is not allowed), IO. */
ISG_NODISCARD isg_status isgi_onnx_external_open(int *fd, uint64_t *size, const char *folder, const char *location,
                                                 isg_error *err);
/* Exactly `bytes` bytes from `offset`; the caller has compared both with the size. Errors: IO. */
ISG_NODISCARD isg_status isgi_onnx_external_read(int fd, void *dst, uint64_t offset, size_t bytes, const char *location,
                                                 isg_error *err);
/* 1 if the open file is the one at `path`. */
int isgi_onnx_external_is(int fd, const char *path);
void isgi_onnx_external_close(int fd);

#endif
