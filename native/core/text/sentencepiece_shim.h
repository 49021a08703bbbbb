/* The C interface of ft_sentencepiece, a shared library that holds sentencepiece and its protobuf apart from
 * LibTorch's. Nothing but these functions crosses the border, and no exception does. A function that returns int
 * returns 0, or 1 with a message in `message`. Data given to ft_sp_load must have passed CheckSentencepieceModel. */
#ifndef FT_CORE_TEXT_SENTENCEPIECE_SHIM_H_
#define FT_CORE_TEXT_SENTENCEPIECE_SHIM_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FT_SP_ABI 1

typedef struct FtSentencepiece FtSentencepiece;

typedef struct {
  char* text;
  size_t size;
} FtSpMessage; /* a buffer of the caller; NUL-terminated after a failure */

typedef int (*FtSpAbiFn)(void);
typedef const char* (*FtSpVersionFn)(void);
typedef int (*FtSpLoadFn)(const char* data, size_t size, FtSentencepiece** model, FtSpMessage message);
/* ids: [count]; offsets: [2 * count], byte begin and end of each id in `text`. Free both with ft_sp_free. */
typedef int (*FtSpEncodeFn)(const FtSentencepiece* model, const char* text, size_t size, int32_t** ids, int32_t** offsets, size_t* count,
                            FtSpMessage message);
/* ids must lie inside the vocabulary. Free text with ft_sp_free. */
typedef int (*FtSpDecodeFn)(const FtSentencepiece* model, const int32_t* ids, size_t count, char** text, size_t* size, FtSpMessage message);
typedef size_t (*FtSpSizeFn)(const FtSentencepiece* model);
typedef void (*FtSpFreeFn)(void* memory);
typedef void (*FtSpDestroyFn)(FtSentencepiece* model);

#ifdef __cplusplus
}
#endif

#endif /* FT_CORE_TEXT_SENTENCEPIECE_SHIM_H_ */
