// io/safetensors, WeightFolder: which files are read, and how a bad folder is refused (U4, U7).
#include <unistd.h>

#include "core/base/json.h"
#include "core/io/safetensors.h"
#include "io_helpers.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;

void WriteShard(const fs::path& path, const std::vector<std::string>& names) {
  fs::create_directories(path.parent_path());
  std::vector<TensorHeader> headers;
  for (const std::string& name : names) headers.push_back({name, DType::kU8, {1}});
  SafetensorsWriter writer(path.string(), headers, {});
  for (size_t i = 0; i < names.size(); ++i) writer.Append("x", 1);
  writer.Finish();
}

std::string WriteIndex(const std::vector<std::pair<std::string, std::string>>& map) {
  Json::Object weight_map;
  for (const auto& [tensor, file] : map) weight_map.push_back({tensor, file});
  return WriteFixture("model.safetensors.index.json",
                      Json(Json::Object{{"metadata", Json::Object{}}, {"weight_map", std::move(weight_map)}}).Dump());
}

TEST(weights_single_file) {
  WriteShard(TempFolder() / "model.safetensors", {"a", "b"});
  const WeightFolder weights = WeightFolder::Open(TempFolder().string());
  EXPECT_EQ(weights.files().size(), size_t{1});
  EXPECT(weights.Find("a").entry != nullptr && weights.Find("c").entry == nullptr);
  EXPECT_EQ(weights.names().size(), size_t{2});
  EXPECT_EQ(weights.total_bytes(), uint64_t{2});
}

TEST(weights_shards) {
  WriteShard(TempFolder() / "model-1.safetensors", {"a", "both"});
  WriteShard(TempFolder() / "sub/model-2.safetensors", {"b", "both", "unlisted"});
  WriteIndex({{"b", "sub/model-2.safetensors"}, {"a", "model-1.safetensors"}, {"both", "sub/model-2.safetensors"}});
  const WeightFolder weights = WeightFolder::Open(TempFolder().string());
  EXPECT_EQ(weights.files().size(), size_t{2});
  EXPECT(Contains(weights.Find("b").file->path(), "model-2"));
  EXPECT(Contains(weights.Find("both").file->path(), "model-2"));  // the index decides
  EXPECT(weights.Find("unlisted").entry != nullptr);
}

TEST(weights_missing_shard_names_shard_and_index) {
  WriteShard(TempFolder() / "model-1.safetensors", {"a"});
  WriteIndex({{"a", "model-1.safetensors"}, {"b", "model-2.safetensors"}});
  const auto open = [] { return WeightFolder::Open(TempFolder().string()); };
  EXPECT_THROWS_CODE(open(), kMissingShard);
  const std::string message = MessageOf([&] { open(); });
  EXPECT(Contains(message, "model-2.safetensors") && Contains(message, "index.json") && Contains(message, "1 of 2"));
}

TEST(weights_index_of_another_version) {
  WriteShard(TempFolder() / "model-1.safetensors", {"a"});
  WriteIndex({{"a", "model-1.safetensors"}, {"b", "model-1.safetensors"}});
  EXPECT_THROWS_CODE(WeightFolder::Open(TempFolder().string()), kMissingTensor);
}

TEST(weights_index_names_stay_in_the_folder) {
  WriteShard(TempFolder() / "outside.safetensors", {"a"});
  const fs::path folder = TempFolder() / "model";
  fs::create_directories(folder);
  const std::string absolute = (TempFolder() / "outside.safetensors").string();
  for (const std::string& name :
       {std::string("../outside.safetensors"), std::string("x/../../outside.safetensors"), std::string(".."), absolute,
        std::string(), std::string("outside\0.safetensors", 20), std::string("..\\outside.safetensors")}) {
    WriteFixture("model/model.safetensors.index.json",
                 Json(Json::Object{{"weight_map", Json::Object{{"a", name}}}}).Dump());
    EXPECT_THROWS_CODE(WeightFolder::Open(folder.string()), kUnsafePath);
  }
}

TEST(weights_links_of_a_hub_cache_work) {
  // models--x/{blobs/<hash>, snapshots/<revision>/model.safetensors -> ../../blobs/<hash>}
  const fs::path blobs = TempFolder() / "models--x/blobs";
  WriteShard(blobs / "0123abcd", {"a"});
  WriteShard(blobs / "4567cdef", {"b"});
  const fs::path snapshot = TempFolder() / "models--x/snapshots/main";
  fs::create_directories(snapshot);
  fs::create_symlink("../../blobs/0123abcd", snapshot / "model-1.safetensors");
  fs::create_symlink("../../blobs/4567cdef", snapshot / "model-2.safetensors");
  WriteFixture("models--x/snapshots/main/model.safetensors.index.json",
               R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  EXPECT_EQ(WeightFolder::Open(snapshot.string()).names().size(), size_t{2});
  fs::remove(blobs / "4567cdef");
  EXPECT_THROWS_CODE(WeightFolder::Open(snapshot.string()), kMissingShard);
}

TEST(weights_folders_without_weights_say_what_is_there) {
  const auto open = [] { WeightFolder::Open(TempFolder().string()); };
  EXPECT_THROWS_CODE(open(), kModelNotFound);
  EXPECT_THROWS_CODE(WeightFolder::Open((TempFolder() / "absent").string()), kModelNotFound);
  WriteFixture("model.gguf", "GGUF");
  EXPECT(Contains(MessageOf(open), "GGUF"));
  WriteFixture("training_args.bin", "x");
  EXPECT_THROWS_CODE(open(), kModelNotFound);
  WriteFixture("pytorch_model.bin", "PK\x03\x04");
  EXPECT_THROWS_CODE(open(), kPickleRefused);
  EXPECT(Contains(MessageOf(open), "pytorch_model.bin"));
  WriteFixture("adapter_model.safetensors", "x");
  EXPECT(Contains(MessageOf(open), "adapter"));
  WriteFixture("model-00001-of-00002.safetensors", "x");
  EXPECT_THROWS_CODE(open(), kMissingShard);
  fs::create_symlink("gone", TempFolder() / "model.safetensors");
  EXPECT(Contains(MessageOf(open), "broken link"));
  fs::remove(TempFolder() / "model.safetensors");
  WriteFixture("model.safetensors", std::string("\x80\x02}q\x01.", 6) + std::string(50, 'x'));
  EXPECT_THROWS_CODE(open(), kPickleRefused);
}

TEST(weights_bad_indexes) {
  for (const char* text : {"", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{}}", "{\"weight_map\":{\"a\":1}}",
                           "{\"weight_map\":{\"a\":\"x\",\"a\":\"y\"}}", "{\"weight_map\":{\"a\":\"x\"}", "\x80\x02"}) {
    WriteFixture("model.safetensors.index.json", text);
    EXPECT_THROWS_CODE(WeightFolder::Open(TempFolder().string()), kSafetensors);
  }
}

TEST(weights_index_mutations) {
  WriteShard(TempFolder() / "model-1.safetensors", {"a", "b"});
  const std::string seed =
      R"({"metadata":{"total_size":2},"weight_map":{"a":"model-1.safetensors","b":"model-1.safetensors"}})";
  Random random(3);
  for (int round = 0; round < 1500; ++round) {
    std::string text = seed;
    for (size_t edits = 1 + random.Below(3); edits > 0; --edits) text = Mutate(std::move(text), random);
    WriteFixture("model.safetensors.index.json", text);
    SucceedsOrThrowsError([] { WeightFolder::Open(TempFolder().string()); });
  }
}

}  // namespace
}  // namespace ft::test
