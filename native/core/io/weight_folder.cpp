// WeightFolder: which files hold the weights of a Hugging Face folder. The order is transformers': one
// model.safetensors, else the shards of model.safetensors.index.json; nothing else is read.
#include <dirent.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/io/safetensors.h"

namespace ft {
namespace {

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr size_t kMaxIndexBytes = size_t{64} << 20;

std::vector<std::string> ListFolder(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> handle(::opendir(folder.c_str()), ::closedir);
  if (handle == nullptr) return names;
  while (const dirent* entry = ::readdir(handle.get())) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

bool EndsWith(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// No model.safetensors and no index: says what is there instead.
[[noreturn]] void RefuseFolder(const std::string& folder) {
  std::string pickle, gguf, adapter, shard;
  for (const std::string& name : ListFolder(folder)) {
    if (name == kSingleFile || name == kIndexFile) {
      throw Error(ErrorCode::kModelNotFound, fmt::format("{} is a broken link, or not a file", JoinPath(folder, name)),
                  "Fetch the model again: the file that the link points at is gone.")
          .With("path", JoinPath(folder, name));
    }
    const bool state_file = name == "training_args.bin" || name == "optimizer.pt" || name == "scheduler.pt";
    if ((EndsWith(name, ".bin") || EndsWith(name, ".pt") || EndsWith(name, ".pth")) && !state_file) pickle = name;
    if (EndsWith(name, ".gguf")) gguf = name;
    if (name == "adapter_model.safetensors") adapter = name;
    if (EndsWith(name, ".safetensors") && name.rfind("model-", 0) == 0) shard = name;
  }
  if (!shard.empty()) {
    throw Error(ErrorCode::kMissingShard, fmt::format("{} has shards ({}) but no {}", folder, shard, kIndexFile),
                fmt::format("Fetch {} from where the shards came.", kIndexFile))
        .With("path", folder)
        .With("shard", kIndexFile);
  }
  if (!adapter.empty()) {
    throw Error(ErrorCode::kModelNotFound, fmt::format("{} holds an adapter ({}), not a model", folder, adapter),
                "Give the folder of the base model, and the adapter by itself.")
        .With("path", folder);
  }
  if (!pickle.empty()) {
    throw Error(
        ErrorCode::kPickleRefused,
        fmt::format(
            "{} has its weights only as a Python pickle ({}): pickles can run code when they are read and are refused",
            folder, pickle),
        "Use the model's safetensors release, or convert it in Python: "
        "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder).")
        .With("path", JoinPath(folder, pickle));
  }
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("{} has no weights: expected {} or {}{}", folder, kSingleFile, kIndexFile,
                          gguf.empty() ? "" : fmt::format("; {} is GGUF, which is not supported", gguf)),
              "Fetch the model's .safetensors files into that folder.")
      .With("path", folder);
}

// A shard name comes from a file that may be hostile: it must stay below the folder. Links inside the
// folder are followed: that is how a hub cache refers to its blobs.
void CheckShardName(const std::string& name, const std::string& index_path) {
  const char* reason = nullptr;
  if (name.empty()) reason = "is empty";
  if (name.find('\0') != std::string::npos) reason = "holds a NUL character";
  if (name.find('\\') != std::string::npos) reason = "holds a backslash";
  if (!name.empty() && name[0] == '/') reason = "is an absolute path";
  for (size_t start = 0; start <= name.size();) {
    const size_t end = std::min(name.find('/', start), name.size());
    const std::string_view part = std::string_view(name).substr(start, end - start);
    if (part == "..") reason = "leaves the folder (..)";
    start = end + 1;
  }
  if (reason == nullptr) return;
  throw Error(ErrorCode::kUnsafePath, fmt::format("{}: shard name {} {}", index_path, JsonQuote(name), reason),
              "Do not use this model folder: its index was made by hand to read files outside of it, or is damaged.")
      .With("path", index_path);
}

struct Index {
  std::vector<std::pair<std::string, uint32_t>> tensors;  // name -> position in shards
  std::vector<std::string> shards;                        // in order of first appearance
};

Index ReadIndex(const std::string& path) {
  JsonOptions options;
  options.where = path;
  options.code = ErrorCode::kSafetensors;
  const Json document = Json::Parse(ReadSmallFile(path, kMaxIndexBytes), options);
  const Json* weight_map = document.Find("weight_map");
  if (weight_map == nullptr || weight_map->kind() != JsonKind::kObject) {
    throw Error(ErrorCode::kSafetensors,
                fmt::format("{}: expected an object with weight_map (tensor name -> file name), got {}", path,
                            weight_map == nullptr ? "none" : JsonKindName(weight_map->kind())),
                "Fetch the index again.")
        .With("path", path);
  }
  Index index;
  std::map<std::string_view, uint32_t> known;
  for (const Json::Member& member : weight_map->AsObject()) {
    if (member.value.kind() != JsonKind::kString) {
      throw Error(ErrorCode::kSafetensors, fmt::format("{}: weight_map \"{}\" must be a file name, got {}", path,
                                                       member.key, JsonKindName(member.value.kind())),
                  "Fetch the index again.")
          .With("path", path);
    }
    const std::string& shard = member.value.AsString();
    const auto [at, added] = known.emplace(shard, static_cast<uint32_t>(index.shards.size()));
    if (added) {
      CheckShardName(shard, path);
      index.shards.push_back(shard);
    }
    index.tensors.emplace_back(member.key, at->second);
  }
  if (index.shards.empty()) {
    throw Error(ErrorCode::kSafetensors, fmt::format("{}: weight_map is empty", path), "Fetch the index again.")
        .With("path", path);
  }
  return index;
}

void CheckShardsExist(const std::string& folder, const Index& index, const std::string& index_path) {
  std::vector<std::string> missing;
  for (const std::string& shard : index.shards) {
    if (!FileExists(JoinPath(folder, shard))) missing.push_back(shard);
  }
  if (missing.empty()) return;
  std::sort(missing.begin(), missing.end());
  const size_t count = missing.size();
  if (count > 5) missing.resize(5);
  throw Error(ErrorCode::kMissingShard,
              fmt::format("{} of {} weight files named by {} are missing in {}: {}{}", count, index.shards.size(),
                          index_path, folder, fmt::join(missing, ", "), count > 5 ? ", …" : ""),
              "Fetch the missing files into that folder (an interrupted download leaves such a folder).")
      .With("path", JoinPath(folder, missing[0]))
      .With("shard", missing[0])
      .With("index", index_path);
}

}  // namespace

WeightFolder WeightFolder::Open(const std::string& folder) {
  if (!FolderExists(folder)) {
    throw Error(
        ErrorCode::kModelNotFound,
        fmt::format("{} {}", folder, FileExists(folder) ? "is a file, expected a model folder" : "does not exist"),
        "Give the folder that holds config.json and the .safetensors files.")
        .With("path", folder);
  }
  WeightFolder weights;
  const std::string single = JoinPath(folder, kSingleFile);
  const std::string index_path = JoinPath(folder, kIndexFile);
  if (FileExists(single)) {
    weights.files_.push_back(SafetensorsFile::Open(single));
  } else if (FileExists(index_path)) {
    const Index index = ReadIndex(index_path);
    CheckShardsExist(folder, index, index_path);
    for (const std::string& shard : index.shards)
      weights.files_.push_back(SafetensorsFile::Open(JoinPath(folder, shard)));
    for (const auto& [name, shard] : index.tensors) {
      const SafetensorsFile* file = weights.files_[shard].get();
      const TensorEntry* entry = file->Find(name);
      if (entry == nullptr) {
        throw Error(ErrorCode::kMissingTensor,
                    fmt::format("tensor \"{}\" is not in {}, where {} says it is", name, file->path(), index_path),
                    "The shard and the index are of different versions: fetch both again.")
            .With("tensor", name)
            .With("path", file->path())
            .With("index", index_path);
      }
      weights.index_[name] = {file, entry};
    }
  } else {
    RefuseFolder(folder);
  }
  // Tensors that no index mentions are found as well; where a name stands twice, the index decides.
  for (const auto& file : weights.files_) {
    for (const TensorEntry& entry : file->entries()) weights.index_.emplace(entry.name, Location{file.get(), &entry});
  }
  return weights;
}

WeightFolder::Location WeightFolder::Find(const std::string& name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? Location{nullptr, nullptr} : at->second;
}

std::vector<std::string> WeightFolder::names() const {
  std::vector<std::string> names;
  names.reserve(index_.size());
  for (const auto& [name, location] : index_) names.push_back(name);
  return names;
}

uint64_t WeightFolder::total_bytes() const {
  uint64_t total = 0;
  for (const auto& [name, location] : index_) total += location.entry->nbytes;
  return total;
}

}  // namespace ft
