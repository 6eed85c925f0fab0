/** What a user can do something about; `message` is one line that says what. */
export class SentioError extends Error {
  constructor(message) {
    super(message);
    this.name = "SentioError";
  }
}
