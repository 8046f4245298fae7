/* SPDX-License-Identifier: Apache-2.0 */
/* Opening external data one path component at a time, so that no link can lead out of the model's folder. */
#include "onnx/onnx_external.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/alloc.h"

#define PATH_BYTES 1024u

/* Refuses what could leave the folder by its spelling alone; also backslashes and drive letters, which some other
 * reader of the same file would take for separators. */
static isg_status external_check_path(const char *location, isg_error *err)
{
    char shown[128];
    const char *part = location;
    const size_t length = strlen(location);
    const char *reason = NULL;
    if (!length)
        reason = "is empty";
    else if (length >= PATH_BYTES)
        reason = "is too long";
    else if (location[0] == '/')
        reason = "is absolute";
    else if (strchr(location, '\\') || strchr(location, ':'))
        reason = "has a backslash or a colon";
    while (!reason) {
        const size_t n = strcspn(part, "/");
        if (n == 2 && part[0] == '.' && part[1] == '.')
            reason = "has a '..'";
        else if (n == 0)
            reason = "has an empty component";
        if (!part[n]) break;
        part += n + 1;
    }
    if (!reason) return ISG_OK;
    return isgi_fail(err, ISG_E_FORMAT, "external data path '%s' %s", isgi_escape(shown, sizeof shown, location),
                     reason);
}

static isg_status external_fail(isg_error *err, const char *location, int code)
{
    char shown[128];
    isgi_escape(shown, sizeof shown, location);
    if (code == ELOOP || code == ENOTDIR || code == EMLINK)
        return isgi_fail(err, ISG_E_FORMAT, "external data '%s' goes through a link or is not a plain file", shown);
    return isgi_fail(err, ISG_E_IO, "external data '%s': %s", shown, strerror(code));
}

/* Walks to the last component with openat, never following a link. The returned descriptor is open for reading. */
static int external_walk(const char *folder, const char *location)
{
    char path[PATH_BYTES];
    char *part = path;
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memcpy(path, location, strlen(location) + 1);
    while (at >= 0) {
        char *slash = strchr(part, '/');
        int next, code;
        if (slash) *slash = 0;
        next = openat(at, part,
                      slash ? O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
                            : O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        code = errno;
        close(at);
        errno = code;
        at = next;
        if (!slash) break;
        part = slash + 1;
    }
    return at;
}

isg_status isgi_onnx_external_open(int *fd, uint64_t *size, const char *folder, const char *location, isg_error *err)
{
    struct stat info;
    int at;
    isg_status status = external_check_path(location, err);
    if (status != ISG_OK) return status;
    at = external_walk(folder[0] ? folder : ".", location);
    if (at < 0) return external_fail(err, location, errno);
    if (fstat(at, &info) != 0) {
        status = external_fail(err, location, errno);
    } else if (!S_ISREG(info.st_mode) || info.st_nlink != 1 || info.st_size < 0) {
        char shown[128];
        status = isgi_fail(err, ISG_E_FORMAT, "external data '%s' is not a regular file with a single link",
                           isgi_escape(shown, sizeof shown, location));
    }
    if (status != ISG_OK) {
        close(at);
        return status;
    }
    *fd = at;
    *size = (uint64_t)info.st_size;
    return ISG_OK;
}

isg_status isgi_onnx_external_read(int fd, void *dst, uint64_t offset, size_t bytes, const char *location,
                                   isg_error *err)
{
    uint8_t *p = dst;
    while (bytes) {
        const size_t want = bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30;
        const ssize_t got = pread(fd, p, want, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return external_fail(err, location, errno);
        if (got == 0) {
            char shown[128];
            return isgi_fail(err, ISG_E_IO, "external data '%s' became shorter while it was read",
                             isgi_escape(shown, sizeof shown, location));
        }
        p += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return ISG_OK;
}

int isgi_onnx_external_is(int fd, const char *path)
{
    struct stat own, other;
    if (!path || fstat(fd, &own) != 0 || stat(path, &other) != 0) return 0;
    return own.st_dev == other.st_dev && own.st_ino == other.st_ino;
}

void isgi_onnx_external_close(int fd)
{
    close(fd);
}
