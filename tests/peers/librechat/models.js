// Writes and reads a database with LibreChat's own published models.
//
//   node models.js write  URL                      a small database; prints what it is about
//   node models.js read   URL USER CONVERSATION    what the models see of a conversation
//   node models.js go-on  URL USER CONVERSATION PARENT MESSAGE   edits MESSAGE, adds one below PARENT
//   node models.js more   URL USER                 a second user who is in debt, credit for USER, and
//                                                  a conversation whose id no other store takes
//
// The folder with their node_modules is named by CHAT_TEST_LIBRECHAT_MODELS.
'use strict';

const path = require('node:path');
const { createRequire } = require('node:module');

const folder = process.env.CHAT_TEST_LIBRECHAT_MODELS;
const fromModels = createRequire(path.join(folder, 'node_modules', 'anchor.js'));
const mongoose = fromModels('mongoose');
const schemas = fromModels('@librechat/data-schemas');

const ROOT = '00000000-0000-0000-0000-000000000000';
const uuid = (n) => `5f3c0000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const longestMatch = (name, table) =>
  Object.keys(table).filter((key) => name.includes(key)).sort((a, b) => b.length - a.length)[0];

async function write(models, methods) {
  const user = await models.User.create({
    name: 'Ada', username: 'ada', email: 'Ada@Example.com', emailVerified: true,
    provider: 'local', password: 'not-a-password',
  });
  const owner = String(user._id);
  const plain = { userId: owner, isTemporary: false, interfaceConfig: {} };
  const temporary = { userId: owner, isTemporary: true, interfaceConfig: {} };
  const say = (context, conversationId, messageId, parentMessageId, rest) =>
    methods.saveMessage(context, {
      messageId, conversationId, parentMessageId, endpoint: 'openAI', unfinished: false,
      error: false, ...rest,
    }, { context: 'peer' });
  const ask = (text, rest) => ({ sender: 'User', isCreatedByUser: true, text, tokenCount: 5, ...rest });
  const reply = (rest) => ({
    sender: 'GPT-4o', isCreatedByUser: false, model: 'gpt-4o', text: '', tokenCount: 7,
    finish_reason: 'stop', ...rest,
  });
  const chat = uuid(1);
  const file = {
    file_id: uuid(900), filename: 'cat.png', filepath: '/images/cat.png', type: 'image/png',
    bytes: 1234, width: 64, height: 32, source: 'local',
  };
  await methods.createFile({ user: user._id, ...file }, true);
  const { bytes, source, ...reference } = file;
  await say(plain, chat, uuid(10), ROOT, ask('What is on this picture?', { files: [reference] }));
  await say(plain, chat, uuid(11), uuid(10), reply({ content: [
    { type: 'think', think: 'It is small.' },
    { type: 'text', text: 'A cat.' },
    { type: 'tool_call', tool_call: {
      id: 'call_1', name: 'measure', args: '{"what":"cat"}', output: '42 cm', type: 'tool_call', progress: 1 } },
    { type: 'text', text: ' It is 42 cm long.' },
  ] }));
  await say(plain, chat, uuid(12), uuid(11), ask('And its colour?'));
  await say(plain, chat, uuid(13), uuid(12), reply({ text: 'Grey.', content: undefined }));
  await say(plain, chat, uuid(14), uuid(12), reply({ content: [
    { type: 'summary', content: [{ type: 'text', text: 'They looked at a grey cat.' }] },
    { type: 'text', text: 'Grey, once more.' },
  ], feedback: { rating: 'thumbsUp', tag: 'accurate' } }));
  await methods.saveConvo(plain, {
    conversationId: chat, endpoint: 'openAI', model: 'gpt-4o', title: 'A cat', temperature: 1,
    top_p: 0.5, promptPrefix: 'Be brief.', tags: ['pets'],
  }, { context: 'peer' });

  const short = uuid(2);
  await say(temporary, short, uuid(20), ROOT, ask('Forget me'));
  await methods.saveConvo(temporary, {
    conversationId: short, endpoint: 'anthropic', model: 'claude-sonnet-4', title: 'Soon gone',
  }, { context: 'peer' });

  const old = uuid(3);
  await say(plain, old, uuid(30), uuid(999), ask('Its parent was deleted'));
  await say(plain, old, uuid(31), uuid(30), reply({
    text: 'Long ago.', summary: 'All that was said long ago.', summaryTokenCount: 6 }));
  await methods.saveConvo(plain, {
    conversationId: old, endpoint: 'agents', agent_id: 'agent_1', title: 'Old',
  }, { context: 'peer' });

  const spent = { user: user._id, conversationId: chat, model: 'gpt-4o', context: 'message', balance: { enabled: true } };
  await models.Balance.create({ user: user._id, tokenCredits: 20000 });
  await methods.createTransaction({ ...spent, tokenType: 'prompt', rawAmount: -100 });
  await methods.createTransaction({ ...spent, tokenType: 'completion', rawAmount: -7 });
  const balance = await models.Balance.findOne({ user: user._id }).lean();
  return { user: owner, chat, short, old, tokenCredits: balance.tokenCredits };
}

async function read(methods, user, conversationId) {
  const conversation = await methods.getConvo(user, conversationId);
  const messages = await methods.getMessages({ conversationId, user });
  const files = await methods.getFiles({ user: new mongoose.Types.ObjectId(user) });
  const hide = ({ _id, __v, createdAt, updatedAt, expiredAt, ...rest }) =>
    ({ ...rest, expires: expiredAt != null });
  return {
    conversation: hide(JSON.parse(JSON.stringify({ ...conversation, messages: undefined }))),
    messages: JSON.parse(JSON.stringify(messages)).map(hide),
    files: (files ?? []).map(({ file_id, filename, type, bytes }) => ({ file_id, filename, type, bytes })),
  };
}

async function goOn(methods, user, conversationId, parentMessageId, messageId) {
  const context = { userId: user, isTemporary: false, interfaceConfig: {} };
  await methods.updateMessageText(user, { messageId, text: 'Edited by hand.' });
  const saved = await methods.saveMessage(context, {
    messageId: uuid(50), conversationId, parentMessageId, sender: 'User', text: 'Said elsewhere.',
    isCreatedByUser: true, endpoint: 'openAI',
  }, { context: 'peer' });
  await methods.saveConvo(context, { conversationId, endpoint: 'openAI', model: 'gpt-4o' }, { context: 'peer' });
  return { saved: saved?.messageId ?? null };
}

async function more(models, methods, user) {
  const bob = await models.User.create({
    name: 'Bob', username: 'bob', email: 'bob@example.com', emailVerified: true,
    provider: 'local', password: 'not-a-password',
  });
  const context = { userId: String(bob._id), isTemporary: false, interfaceConfig: {} };
  const say = async (conversationId, messageId, title) => {
    await methods.saveMessage(context, {
      messageId, conversationId, parentMessageId: ROOT, sender: 'User', text: title,
      isCreatedByUser: true, endpoint: 'openAI', unfinished: false, error: false,
    }, { context: 'peer' });
    await methods.saveConvo(context, {
      conversationId, endpoint: 'openAI', model: 'gpt-4o', title,
    }, { context: 'peer' });
  };
  await say(uuid(4), uuid(40), 'A dog');
  await models.Conversation.create({
    conversationId: 'no id', user: context.userId, endpoint: 'openAI', title: 'Strange',
  });
  await models.Balance.create({ user: bob._id, tokenCredits: -50 });
  await models.Transaction.create({
    user, tokenType: 'credits', context: 'admin', rawAmount: 1000, tokenValue: 1000,
  });
  return { user: context.userId };
}

async function main([command, url, ...rest]) {
  await mongoose.connect(url, { autoIndex: false });
  const models = schemas.createModels(mongoose);
  const methods = schemas.createMethods(mongoose, {
    matchModelName: (name) => name, findMatchingPattern: longestMatch,
  });
  if (command === 'write') {
    for (const name of ['Message', 'Conversation', 'File', 'User']) {
      await models[name].createIndexes();
    }
  }
  const commands = {
    write: () => write(models, methods),
    read: () => read(methods, ...rest),
    'go-on': () => goOn(methods, ...rest),
    more: () => more(models, methods, ...rest),
  };
  const answer = await commands[command]();
  await mongoose.disconnect();
  process.stdout.write(`\n@@${JSON.stringify(answer)}\n`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
