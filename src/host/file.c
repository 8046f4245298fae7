/* SPDX-License-Identifier: Apache-2.0 */
/* Whole files in memory, read only: mapped where the file system can, read otherwise. */
#include <errno.h>
#include <fcntl.h>
#include <insitu/host.h>
#include <stdalign.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/alloc.h"
#include "host/buffer.h"

#define STREAM_MAXIMUM ((size_t)4 << 30) /* bytes taken from something whose size nobody knows, such as a pipe */
#define STREAM_STEP ((size_t)1 << 16)

typedef struct file_impl {
    void *mapping; /* NULL if `copy` is used */
    size_t mapped;
    void *copy;
} file_impl;

static const alignas(64) uint8_t nothing[64] = {0};

static isg_status read_stream(file_impl *impl, size_t *bytes, int fd, const char *path, isg_error *err)
{
    isgi_buffer buffer;
    isg_status status = ISG_OK;
    isgi_buffer_init(&buffer, STREAM_MAXIMUM);
    while (status == ISG_OK) {
        uint8_t *room;
        ssize_t got;
        status = isgi_buffer_extend(&buffer, STREAM_STEP, &room, err);
        if (status != ISG_OK) break;
        do {
            got = read(fd, room, STREAM_STEP);
        } while (got < 0 && errno == EINTR);
        if (got < 0) status = isgi_fail_errno(err, path);
        buffer.size -= STREAM_STEP - (got > 0 ? (size_t)got : 0);
        if (got <= 0) break;
    }
    if (status == ISG_OK && buffer.size) impl->copy = isgi_buffer_take(&buffer, bytes);
    isgi_buffer_free(&buffer);
    return status;
}

isg_status isg_file_open(isg_file *file, const char *path, isg_error *err)
{
    isg_status status = ISG_OK;
    file_impl *impl = NULL;
    struct stat info;
    char name[160];
    size_t bytes = 0;
    int fd = -1;

    file->data = NULL;
    file->size = 0;
    file->impl = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        status = isgi_fail_errno(err, path);
        goto done;
    }
    if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode)) {
        status = isgi_fail(err, ISG_E_IO, "%s: %s", isgi_escape(name, sizeof name, path),
                           S_ISDIR(info.st_mode) ? "is a folder" : "neither a regular file nor a pipe");
        goto done;
    }
    if ((uint64_t)info.st_size > SIZE_MAX) {
        status = isgi_fail(err, ISG_E_LIMIT, "%s: larger than the address space", isgi_escape(name, sizeof name, path));
        goto done;
    }
    impl = isgi_calloc(1, sizeof *impl);
    if (!impl) {
        status = isgi_nomem(err);
        goto done;
    }
    if (S_ISREG(info.st_mode) && info.st_size > 0) {
        void *mapping = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapping != MAP_FAILED) {
            impl->mapping = mapping;
            impl->mapped = bytes = (size_t)info.st_size;
        }
    }
    if (!impl->mapping) status = read_stream(impl, &bytes, fd, path, err);
    if (status != ISG_OK) goto done;
    file->data = impl->mapping ? impl->mapping : impl->copy ? impl->copy : nothing;
    file->size = bytes;
    file->impl = impl;
    impl = NULL;
done:
    if (fd >= 0) close(fd);
    isg_free(impl);
    return status;
}

void isg_file_close(isg_file *file)
{
    file_impl *impl;
    if (!file) return;
    impl = file->impl;
    if (impl) {
        if (impl->mapping) munmap(impl->mapping, impl->mapped);
        isg_free(impl->copy);
        isg_free(impl);
    }
    file->data = NULL;
    file->size = 0;
    file->impl = NULL;
}

int isg_same_file(const char *a, const char *b)
{
    struct stat sa, sb;
    if (!a || !b || stat(a, &sa) != 0 || stat(b, &sb) != 0) return 0;
    return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}
