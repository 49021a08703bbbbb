// Opens ft_sentencepiece and wraps its C functions. See sentencepiece_library.h.
#include "core/text/sentencepiece_library.h"

#include <dlfcn.h>

#include <array>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/text/sentencepiece_shim.h"

namespace ft {
namespace {

constexpr size_t kMaxModelBytes = size_t{512} << 20;
constexpr size_t kMaxTextBytes = size_t{256} << 20;
#ifdef __APPLE__
constexpr char kLibraryName[] = "libft_sentencepiece.dylib";
#else
constexpr char kLibraryName[] = "libft_sentencepiece.so";
#endif

struct Library {
  FtSpVersionFn version = nullptr;
  FtSpLoadFn load = nullptr;
  FtSpEncodeFn encode = nullptr;
  FtSpDecodeFn decode = nullptr;
  FtSpSizeFn size = nullptr;
  FtSpFreeFn free = nullptr;
  FtSpDestroyFn destroy = nullptr;
  std::string problem;  // why it is not there; "" when it is
};

template <class Function>
bool Find(void* handle, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(handle, name));
  return function != nullptr;
}

Library Open() {
  Library library;
  Dl_info here{};
  if (dladdr(reinterpret_cast<const void*>(&Open), &here) == 0 || here.dli_fname == nullptr) {
    library.problem = "the folder of this program is unknown";
    return library;
  }
  const std::string path = JoinPath(ParentPath(here.dli_fname), kLibraryName);
  if (!FileExists(path)) {
    library.problem = fmt::format("{} was not built, because sentencepiece was not found then", path);
    return library;
  }
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    library.problem = reason != nullptr ? reason : "it cannot be loaded";
    return library;
  }
  FtSpAbiFn abi = nullptr;
  if (!Find(handle, "ft_sp_abi", abi) || abi() != FT_SP_ABI || !Find(handle, "ft_sp_version", library.version) ||
      !Find(handle, "ft_sp_load", library.load) || !Find(handle, "ft_sp_encode", library.encode) ||
      !Find(handle, "ft_sp_decode", library.decode) || !Find(handle, "ft_sp_size", library.size) ||
      !Find(handle, "ft_sp_free", library.free) || !Find(handle, "ft_sp_destroy", library.destroy)) {
    library.problem = fmt::format("{} is of another version of ft-native", path);
  }
  return library;
}

/// Never destroyed: models may outlive static objects.
const Library& Shared() {
  static const Library* library = new Library(Open());
  return *library;
}

/// Owns what the library allocated.
class Owned {
 public:
  ~Owned() {
    if (memory != nullptr) Shared().free(memory);
  }
  void* memory = nullptr;
};

}  // namespace

std::string SentencepieceVersion() { return Shared().problem.empty() ? Shared().version() : ""; }

std::unique_ptr<SentencepieceModel> SentencepieceModel::Load(const std::string& path) {
  const Library& library = Shared();
  if (!library.problem.empty()) {
    throw Error(ErrorCode::kSentencepieceMissing, fmt::format("{} needs the sentencepiece library: {}", path, library.problem),
                "Install it (Debian, Ubuntu: apt install libsentencepiece-dev; macOS: brew install sentencepiece), then `npm run "
                "build:native`. Or use a model that has a tokenizer.json.")
        .With("path", path);
  }
  if (!FileExists(path)) {
    throw Error(ErrorCode::kTokenizerMissing, fmt::format("no such file: {}", path), "Check the path.").With("path", path);
  }
  const std::string data = ReadSmallFile(path, kMaxModelBytes);
  std::unique_ptr<SentencepieceModel> model(new SentencepieceModel);
  model->pieces_ = CheckSentencepieceModel(data, path);
  std::array<char, 512> text{};
  if (library.load(data.data(), data.size(), &model->model_, {text.data(), text.size()}) != 0) {
    throw Error(ErrorCode::kTokenizer, fmt::format("{}: sentencepiece refuses this model: {}", path, text.data()),
                "Copy the file again from where the model came from.")
        .With("path", path);
  }
  if (library.size(model->model_) != model->pieces_.size()) {
    throw Error(ErrorCode::kTokenizer,
                fmt::format("{}: sentencepiece sees {} pieces where the file has {}", path, library.size(model->model_), model->pieces_.size()),
                "Copy the file again from where the model came from.")
        .With("path", path);
  }
  return model;
}

SentencepieceModel::~SentencepieceModel() {
  if (model_ != nullptr) Shared().destroy(model_);
}

SentencepieceModel::Encoding SentencepieceModel::Encode(const std::string& text) const {
  FT_CHECK(text.size() <= kMaxTextBytes, kInvalidArgument, "text of {} bytes is longer than {} bytes", text.size(), kMaxTextBytes);
  FT_CHECK(IsUtf8(text), kInvalidArgument, "text is not valid UTF-8");
  std::array<char, 512> message{};
  int32_t* ids = nullptr;
  int32_t* offsets = nullptr;
  size_t count = 0;
  if (Shared().encode(model_, text.data(), text.size(), &ids, &offsets, &count, {message.data(), message.size()}) != 0) {
    FT_THROW(kTokenizer, "sentencepiece cannot encode a text: {}", message.data());
  }
  Owned own_ids;
  Owned own_offsets;
  own_ids.memory = ids;
  own_offsets.memory = offsets;
  return {{ids, ids + count}, {offsets, offsets + 2 * count}};
}

std::string SentencepieceModel::Decode(const std::vector<int32_t>& ids) const {
  for (size_t i = 0; i < ids.size(); ++i) {
    FT_CHECK(ids[i] >= 0 && static_cast<size_t>(ids[i]) < pieces_.size(), kInvalidArgument, "ids[{}] = {} is outside the vocabulary of {}", i,
             ids[i], pieces_.size());
  }
  std::array<char, 512> message{};
  char* text = nullptr;
  size_t size = 0;
  if (Shared().decode(model_, ids.data(), ids.size(), &text, &size, {message.data(), message.size()}) != 0) {
    FT_THROW(kTokenizer, "sentencepiece cannot decode ids: {}", message.data());
  }
  Owned own;
  own.memory = text;
  return {text, size};
}

}  // namespace ft
