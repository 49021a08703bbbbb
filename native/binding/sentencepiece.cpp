// NativeSentencepiece: a `.model` file. Synchronous: it never meets LibTorch.
#include "binding/convert.h"
#include "binding/handles.h"

namespace ft::binding {
namespace {

Napi::Value Encode(const Napi::CallbackInfo& info) {
  const auto handle = Handle<SentencepieceHandle>::This(info, "Sentencepiece.encode");
  return FromInt32s(info.Env(), handle->model->Encode(ToText(info[0], "text")).ids);
}

Napi::Value EncodeWithOffsets(const Napi::CallbackInfo& info) {
  const auto handle = Handle<SentencepieceHandle>::This(info, "Sentencepiece.encodeWithOffsets");
  const SentencepieceModel::Encoding encoding = handle->model->Encode(ToText(info[0], "text"));
  Napi::Object result = Napi::Object::New(info.Env());
  result.Set("ids", FromInt32s(info.Env(), encoding.ids));
  result.Set("offsets", FromInt32s(info.Env(), encoding.offsets));
  return result;
}

Napi::Value Decode(const Napi::CallbackInfo& info) {
  const auto handle = Handle<SentencepieceHandle>::This(info, "Sentencepiece.decode");
  return Napi::String::New(info.Env(), handle->model->Decode(ToInt32s(info[0], "ids")));
}

Napi::Value Pieces(const Napi::CallbackInfo& info) {
  const auto handle = Handle<SentencepieceHandle>::This(info, "Sentencepiece.pieces");
  Napi::Env env = info.Env();
  const std::vector<SentencepiecePiece>& pieces = handle->model->pieces();
  Napi::Array result = Napi::Array::New(env, pieces.size());
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Napi::HandleScope scope(env);
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("piece", Napi::String::New(env, pieces[i].piece));
    entry.Set("score", FromNumber(env, pieces[i].score));
    entry.Set("type", FromInt(env, pieces[i].type));
    result.Set(static_cast<uint32_t>(i), entry);
  }
  return result;
}

}  // namespace

Napi::Value LoadSentencepiece(const Napi::CallbackInfo& info) {
  auto handle = std::make_shared<SentencepieceHandle>();
  handle->model = SentencepieceModel::Load(ToPath(info[0], "path"));
  return Handle<SentencepieceHandle>::Wrap(info.Env(), std::move(handle));
}

void DefineSentencepiece(Napi::Env env) {
  DefineHandle(env, HandleKind::kSentencepiece, "NativeSentencepiece",
               {{"encode", &Sync<Encode>},
                {"encodeWithOffsets", &Sync<EncodeWithOffsets>},
                {"decode", &Sync<Decode>},
                {"pieces", &Sync<Pieces>},
                {"dispose", &Sync<Handle<SentencepieceHandle>::Dispose>}});
}

}  // namespace ft::binding
