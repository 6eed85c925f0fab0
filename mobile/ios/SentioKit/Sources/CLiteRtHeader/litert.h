// The part of LiteRT's C API (2.3) that a model needs which takes and gives float tensors on the CPU.
//
// Types of functions rather than functions: they are looked up in the library at run time, see LiteRtLibrary.swift.
#ifndef SENTIO_LITERT_H
#define SENTIO_LITERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct LiteRtEnvironmentT *LiteRtEnvironment;
typedef struct LiteRtModelT *LiteRtModel;
typedef struct LiteRtSignatureT *LiteRtSignature;
typedef struct LiteRtTensorT *LiteRtTensor;
typedef struct LiteRtOptionsT *LiteRtOptions;
typedef struct LiteRtOpaqueOptionsT *LiteRtOpaqueOptions;
typedef struct LiteRtCompiledModelT *LiteRtCompiledModel;
typedef struct LiteRtTensorBufferT *LiteRtTensorBuffer;
typedef struct LiteRtTensorBufferRequirementsT *LiteRtTensorBufferRequirements;

typedef int LiteRtStatus;  // 0: done, 501: no intact flatbuffer, others

enum { sentio_litert_float32 = 1, sentio_litert_cpu = 1, sentio_litert_read = 0, sentio_litert_write = 1 };

typedef struct {
  unsigned int rank : 7;
  bool has_strides : 1;
  int32_t dimensions[8];
  uint32_t strides[8];
} LiteRtLayout;

typedef struct {
  int element_type;
  LiteRtLayout layout;
} LiteRtRankedTensorType;

typedef LiteRtStatus (*LiteRtCreateEnvironmentFn)(int count, const void *options, LiteRtEnvironment *);
typedef void (*LiteRtDestroyEnvironmentFn)(LiteRtEnvironment);

// The bytes must outlive the model.
typedef LiteRtStatus (*LiteRtCreateModelFromBufferFn)(LiteRtEnvironment, const void *bytes, size_t size, LiteRtModel *);
typedef void (*LiteRtDestroyModelFn)(LiteRtModel);
typedef LiteRtStatus (*LiteRtGetNumModelSignaturesFn)(LiteRtModel, size_t *);
typedef LiteRtStatus (*LiteRtGetModelSignatureFn)(LiteRtModel, size_t index, LiteRtSignature *);

// The same type for inputs and outputs of a signature.
typedef LiteRtStatus (*LiteRtGetSignatureKeyFn)(LiteRtSignature, const char **);
typedef LiteRtStatus (*LiteRtGetNumSignatureTensorsFn)(LiteRtSignature, size_t *);
typedef LiteRtStatus (*LiteRtGetSignatureTensorNameFn)(LiteRtSignature, size_t index, const char **);
typedef LiteRtStatus (*LiteRtGetSignatureTensorByIndexFn)(LiteRtSignature, size_t index, LiteRtTensor *);
typedef LiteRtStatus (*LiteRtGetRankedTensorTypeFn)(LiteRtTensor, LiteRtRankedTensorType *);

typedef LiteRtStatus (*LiteRtCreateOptionsFn)(LiteRtOptions *);
typedef void (*LiteRtDestroyOptionsFn)(LiteRtOptions);
typedef LiteRtStatus (*LiteRtSetOptionsHardwareAcceleratorsFn)(LiteRtOptions, int accelerators);
// Takes the payload, which `free_payload` gives back.
typedef LiteRtStatus (*LiteRtCreateOpaqueOptionsFn)(const char *identifier, void *payload, void (*free_payload)(void *),
                                                    LiteRtOpaqueOptions *);
// Takes the opaque options.
typedef LiteRtStatus (*LiteRtAddOpaqueOptionsFn)(LiteRtOptions, LiteRtOpaqueOptions);

typedef LiteRtStatus (*LiteRtCreateCompiledModelFn)(LiteRtEnvironment, LiteRtModel, LiteRtOptions,
                                                    LiteRtCompiledModel *);
typedef void (*LiteRtDestroyCompiledModelFn)(LiteRtCompiledModel);
typedef LiteRtStatus (*LiteRtGetCompiledModelBufferRequirementsFn)(LiteRtCompiledModel, size_t signature, size_t index,
                                                                   LiteRtTensorBufferRequirements *);
typedef LiteRtStatus (*LiteRtRunCompiledModelFn)(LiteRtCompiledModel, size_t signature, size_t inputs,
                                                 LiteRtTensorBuffer *, size_t outputs, LiteRtTensorBuffer *);

typedef LiteRtStatus (*LiteRtCreateManagedTensorBufferFromRequirementsFn)(LiteRtEnvironment,
                                                                          const LiteRtRankedTensorType *,
                                                                          LiteRtTensorBufferRequirements,
                                                                          LiteRtTensorBuffer *);
typedef void (*LiteRtDestroyTensorBufferFn)(LiteRtTensorBuffer);
typedef LiteRtStatus (*LiteRtLockTensorBufferFn)(LiteRtTensorBuffer, void **host, int mode);
typedef LiteRtStatus (*LiteRtUnlockTensorBufferFn)(LiteRtTensorBuffer);

#endif
